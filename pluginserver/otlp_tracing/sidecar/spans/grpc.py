"""gRPC calls as attributes and span names (`rpc.*`).

Source: semantic conventions 1.44, docs/rpc/grpc.md; gRPC, doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from otlp_tracing.sidecar.ingest.request_record import RequestRecord
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.model import AttributeValue

_OTHER = "_OTHER"


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Args:
        method: `package.Service/Method`, or `_OTHER`.
        original: the method that the client asked for, if `method` is `_OTHER`.
        status: name of the status code; None if it was in the trailers and the record has no facts of nginx.
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
        """The status, if the caller did not get the answer it asked for."""
        return self.status if self.status != "OK" else None

    def attributes(self) -> dict[str, AttributeValue | None]:
        """Return the attributes that SERVER and CLIENT spans share."""
        return {"rpc.system.name": "grpc", "rpc.method": self.method, "rpc.method_original": self.original}


def grpc_call(record: RequestRecord, path: str, names: CardinalityLimit) -> Call:
    """Return a call of a request.

    Args:
        record: of the request.
        path: of the call, RequestRecord.received_call or sent_call.
        names: bounds the methods, since a client can ask for any.
    """
    method, status = path[1:], record.grpc_status
    owner = record.log.service.id if record.log.service and record.log.service.id else ""
    # A server answers UNIMPLEMENTED for a method that it does not have. If Kong rejected the call before any try, it is
    # not known whether the method exists. In both cases only a name that is in use already may be used.
    if status == "UNIMPLEMENTED" or not record.tries:
        is_known = names.knows("rpc.method", owner, method)
    else:
        is_known = names.admit("rpc.method", owner, method)
    return Call(method, None, status) if is_known else Call(_OTHER, method, status)
