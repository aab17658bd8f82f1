"""The OTLP response to an accepted request: the number of spans that the collector did not take, and why.

Over HTTP it is protobuf or JSON. A response with 200 that is neither, such as a web page, means that the endpoint does
not speak OTLP. bisection.py splits a batch that is refused as a whole.

Source: opentelemetry-proto, docs/specification.md (OTLP/HTTP Response, Partial Success).
"""

from __future__ import annotations

import re

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otlp_tracing.config.otel_variables import Signal
from otlp_tracing.sidecar.export.result import Action, ExportResult

PROTOBUF = "application/x-protobuf"
"""The content type of requests, and of most responses."""

# Other names of protobuf, and aiohttp's default for a response without a type.
_PROTOBUF_TYPES = frozenset({
    PROTOBUF, "application/protobuf", "application/vnd.google.protobuf", "application/octet-stream",
})  # fmt: skip
_RESPONSES = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}
_MAX_REASON = 200  # characters of a text of the collector, for a line of the log
# A gateway's refusal that it sends with 200. OTLP's own response has none of these fields.
_ERROR = re.compile(rb'"errors?"\s*:\s*(?!null|false|""|\[\s*\]|\{\s*\})|"success"\s*:\s*false')


def decode_response(content_type: str, body: bytes, signal: Signal) -> ExportTraceServiceResponse:
    """Decode a response; an empty one is valid, whatever its content type (the body of a 204, for example).

    The responses of the three signals differ in the names of their fields alone, which only JSON shows.

    Raises:
        DecodeError: if it is no OTLP response, such as a web page.
    """
    if content_type == "application/json" and body.lstrip().startswith(b"{"):
        if _ERROR.search(body):
            raise DecodeError("an error in a field that OTLP does not have")
        try:
            body = json_format.Parse(body, _RESPONSES[signal](), ignore_unknown_fields=True).SerializeToString()
        except (json_format.ParseError, UnicodeDecodeError) as error:
            raise DecodeError(str(error)) from error
        return ExportTraceServiceResponse.FromString(body)
    if body and content_type not in _PROTOBUF_TYPES:
        raise DecodeError(content_type)
    return ExportTraceServiceResponse.FromString(body)


def accepted(response: ExportTraceServiceResponse) -> ExportResult:
    """Return the result of an accepted request; its partial success has the number of rejected spans."""
    partial = response.partial_success
    return ExportResult(Action.SUCCESS, printable(partial.error_message), max(partial.rejected_spans, 0))


def printable(text: str) -> str:
    """Return the begin of a collector's text, fit for one line of the log."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:_MAX_REASON])
