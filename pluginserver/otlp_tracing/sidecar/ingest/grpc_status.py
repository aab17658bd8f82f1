"""The gRPC status of a request, and whether it is an error: the HTTP status of such an error is 200.

Source: gRPC, doc/PROTOCOL-HTTP2.md (`grpc-status`); semantic conventions 1.44, docs/rpc/grpc.md.
"""

from __future__ import annotations

from typing import Final

from otlp_tracing.config.settings import GRPC_CODES

_SERVER_ERRORS: Final = frozenset({
    "UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
})  # fmt: skip


def status_name(code: str | None) -> str | None:
    """Return the name of a status code as a header has it; None without one, and for anything but a number."""
    if code is None or not (code.isascii() and code.isdecimal()):
        return None
    return GRPC_CODES[int(code)] if len(code) < 3 and int(code) < len(GRPC_CODES) else "UNKNOWN"


def is_server_error(name: str | None) -> bool:
    """Tell whether a status is the server's fault; the others are the client's, or none."""
    return name in _SERVER_ERRORS
