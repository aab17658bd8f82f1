"""Promises of sidecar/export/otlp_response.py; test_http.py has the results that follow."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otlp_tracing.config.otel_variables import Signal
from otlp_tracing.sidecar.export.otlp_response import PROTOBUF, accepted, decode_response


@pytest.mark.parametrize(
    ("signal", "name"), [("traces", "rejectedSpans"), ("metrics", "rejectedDataPoints"), ("logs", "rejectedLogRecords")]
)
def test_the_rejected_items_of_each_signal_are_counted(signal: Signal, name: str) -> None:
    """JSON names them after the signal, and its 64-bit numbers are texts."""
    body = b'{"partialSuccess": {"%s": "3", "errorMessage": "too old"}}' % name.encode()
    partial = decode_response("application/json", body, signal).partial_success

    assert (partial.rejected_spans, partial.error_message) == (3, "too old")


def test_a_text_of_the_collector_is_one_line() -> None:
    """It stands in a line of the log, so control characters are spaces, and it is at most 200 characters long."""
    response = ExportTraceServiceResponse()
    response.partial_success.error_message = "too old\nERROR forged\x1b[2J" + "x" * 300
    result = accepted(response)

    assert result.reason.startswith("too old ERROR forged [2Jxxx")
    assert len(result.reason) == 200


@pytest.mark.parametrize("content_type", [PROTOBUF, "application/octet-stream", "text/plain"])
def test_an_empty_response_is_a_success(content_type: str) -> None:
    """As of a 204, which has no content type."""
    assert decode_response(content_type, b"", "traces") == ExportTraceServiceResponse()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b"<html>"),
        (PROTOBUF, b"<html>"),
        ("application/json", b'{"partialSuccess": 7}'),
        ("application/json", b'{"errors": ["no such tenant"]}'),
        ("application/json", b"{\xff"),
    ],
)
def test_anything_else_is_no_otlp_response(content_type: str, body: bytes) -> None:
    """A gateway's page or error with the status 200 does not mean that spans were stored."""
    with pytest.raises(DecodeError):
        decode_response(content_type, body, "traces")
