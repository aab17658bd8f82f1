"""gRPC: which requests are calls, of which method, and how they ended.

A call is an HTTP request all the same: its span has the HTTP attributes, and `rpc.*` beside them. Kong
shows headers and no trailers, so the status of a call is known where the answer was trailers only, which
is what servers send for an error before the first message, and where Kong itself answered.

Source: semantic conventions 1.44, docs/rpc/grpc.md (names of 1.39 and later); gRPC over HTTP/2,
PROTOCOL-HTTP2.md; kong/pdk/response.lua, which gives its own answers a grpc-status.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from otlp_tracing.sidecar.ingest.log_record import LogRecord
from otlp_tracing.sidecar.spans.cardinality import NameGuard
from otlp_tracing.sidecar.spans.header_capture import header
from otlp_tracing.sidecar.spans.model import AttributeValue

__all__ = ["CODES", "Call", "received_call", "sent_call", "server_error", "with_lost_method"]

CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""The names of gRPC's status codes, each at its number."""

_SERVER_ERRORS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
_OTHER = "_OTHER"
_GRPC = frozenset({"grpc", "grpcs"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Args:
        method: `package.Service/Method`, or `_OTHER`.
        original: what the client asked for, where the method is `_OTHER`.
        status: name of the status code, None where it went by in the trailers.
    """

    method: str
    original: str | None
    status: str | None

    @property
    def span_name(self) -> str:
        """The name of the call's spans."""
        return "grpc" if self.method == _OTHER else self.method

    @property
    def client_error(self) -> str | None:
        """The status, if the caller did not get what it asked for."""
        return self.status if self.status != "OK" else None

    def attributes(self) -> dict[str, AttributeValue | None]:
        """Return what SERVER and CLIENT spans share."""
        return {"rpc.system.name": "grpc", "rpc.method": self.method, "rpc.method_original": self.original}


def with_lost_method(record: LogRecord) -> LogRecord:
    """Give a gRPC call that nginx could not pass on its method back: POST.

    nginx answers an error of its own as a GET for its error page, and over HTTP/2 Kong's record shows that GET
    (kong/pdk/request.lua, get_method). Of calls alone it is known what they were.
    """
    request, service = record.request, record.service
    if request.method != "GET" or record.source != "kong" or service is None or service.protocol not in _GRPC:
        return record
    path = request.uri.partition("?")[0]
    if not record.tries or not _is_call(record, path):
        return record
    return msgspec.structs.replace(record, request=msgspec.structs.replace(request, method="POST"))


def received_call(record: LogRecord, names: NameGuard) -> Call | None:
    """Return the call that the client made, None if it made none.

    Args:
        record: of the request.
        names: bounds the methods, since a client can ask for any.
    """
    path = _received_path(record)
    return None if path is None else _call(record, path, names)


def sent_call(record: LogRecord, names: NameGuard) -> Call | None:
    """Return the call that Kong sent upstream, None if it sent none."""
    path = (record.upstream_uri or "").partition("?")[0]
    return _call(record, path, names) if _is_call(record, path) else None


def server_error(record: LogRecord) -> str | None:
    """Return the status of the call that the client made, if it is an error of the server's; None without a call."""
    if record.request.method != "POST":  # asked of every request, of which few are calls
        return None
    status = _status(record)
    return status if status in _SERVER_ERRORS and _received_path(record) is not None else None


def _received_path(record: LogRecord) -> str | None:
    """Return the path of the call that the client made, None if it made none."""
    path = record.request.uri.partition("?")[0]
    # The headers are those that the upstream saw: a plugin that translates (grpc-gateway) makes a call of
    # a request that was none, and gives it another path.
    sent = (record.upstream_uri or path).partition("?")[0]
    return path if record.request.method == "POST" and sent == path and _is_call(record, path) else None


def _is_call(record: LogRecord, path: str) -> bool:
    if path.count("/") != 2:
        return False
    content_type = header(record.request.headers, "content-type") or ""
    # Neither grpc-web nor anything else that begins alike.
    return content_type == "application/grpc" or content_type.startswith(("application/grpc+", "application/grpc;"))


def _call(record: LogRecord, path: str, names: NameGuard) -> Call:
    method = path[1:]
    status = _status(record)
    if _is_known(record, method, status, names):
        return Call(method, None, status)
    return Call(_OTHER, method, status)


def _is_known(record: LogRecord, method: str, status: str | None, names: NameGuard) -> bool:
    # UNIMPLEMENTED is the server's word for a method it has not; of what Kong turned away before any try
    # nobody knows whether there is such a method: only a name that is in use already may be used.
    owner = record.service.id if record.service and record.service.id else ""
    if status == "UNIMPLEMENTED" or not record.tries:
        return names.knows("rpc.method", owner, method)
    return names.admit("rpc.method", owner, method)


def _status(record: LogRecord) -> str | None:
    code = header(record.response.headers, "grpc-status")
    if code is None or not code.isdecimal():
        return None
    return CODES[int(code)] if len(code) < 3 and int(code) < len(CODES) else "UNKNOWN"
