"""Headers of exports that gRPC cannot carry as metadata: it would refuse every attempt.

Source: gRPC, PROTOCOL-HTTP2.md, "Custom-Metadata"; RFC 9113, section 8.2.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from otlp_tracing.errors import Fault

_CONNECTION_HEADERS = frozenset({"connection", "content-length", "te", "transfer-encoding", "upgrade"})


def metadata_faults(field: str, headers: Iterable[tuple[str, str]]) -> Iterator[Fault]:
    """Find headers that gRPC refuses at every attempt, given in a field or a variable."""
    for name, value in headers:
        if name.startswith("grpc-") or name in _CONNECTION_HEADERS:
            yield Fault(field, name, "cannot be sent over gRPC, which sets it itself")
        elif name.endswith("-bin"):
            yield Fault(field, name, "cannot be sent over gRPC: a name that ends in -bin has binary values there")
        elif not all(" " <= character <= "~" for character in value):
            yield Fault(field, name, "cannot be sent over gRPC: its value has a character that is not ASCII")
