"""Promises of sidecar/live/http/trace_json.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from otlp_tracing.config.settings import Settings
from otlp_tracing.context import SpanContext
from otlp_tracing.sidecar.live.http import trace_json
from otlp_tracing.sidecar.live.traces import RecentTrace
from otlp_tracing.sidecar.otlp.encoder import Severity, encode_log, encode_span
from otlp_tracing.sidecar.redaction.redactor import Redactor
from otlp_tracing.sidecar.spans.model import Attributes
from spans_of import CONTEXT, spans_of

RETRIED: dict[str, Any] = {
    "tries": [{"state": "failed", "code": 502, "balancer_start": 1_001}, {"balancer_start": 1_004}],
    "upstream_status": "502, 200",
    "request": {"uri": "/a/b?token=secret&q=1"},
}


def kept(number: int = 1, **fields: Any) -> RecentTrace:
    redactor = Redactor(Settings.from_config({}).redaction)
    spans = tuple(encode_span(redactor.redact(span, lambda *_: None)) for span in spans_of(**fields))
    return RecentTrace(number, CONTEXT.trace_id, "users", "all", 200, 10.0, "sampled", spans)


def test_the_list_shows_the_exported_values() -> None:
    """A redacted value is shown redacted, and its row is marked."""
    shown = trace_json.row(kept(**RETRIED))

    assert shown["target"] == "/a/b?token=REDACTED&q=1"
    assert (shown["method"], shown["host"], shown["status"], shown["duration_ms"]) == ("GET", "gw", 200, 10.0)
    assert (shown["has_redacted"], shown["spans"], shown["is_error"]) == (True, 3, False)
    assert trace_json.row(kept())["has_redacted"] is False


def test_a_trace_has_every_span() -> None:
    """Each has its offset, its parent and its attributes."""
    shown = trace_json.trace([kept(**RETRIED)])

    server, first, second = shown["spans"]
    assert [span["kind"] for span in shown["spans"]] == ["server", "client", "client"]
    assert first["parent_span_id"] == second["parent_span_id"] == server["span_id"]
    assert (server["offset_ms"], server["duration_ms"]) == (0, 10)
    assert first["is_error"]
    assert dict(second["attributes"])["http.request.resend_count"] == 1


def test_the_traceparent_is_that_of_the_last_try() -> None:
    """The upstream got its span id and its flags."""
    (request,) = trace_json.trace([kept(**RETRIED)])["requests"]

    assert request["traceparent"] == f"00-{'01' * 16}-{'03' * 8}-03"
    assert request["curl"] == "curl 'http://gw:8000/a/b?token=REDACTED&q=1'"


def test_links_lead_to_other_traces() -> None:
    """A link has the ids of its trace and span."""
    link = SpanContext(b"\x0a" * 16, b"\x0b" * 8)
    shown = trace_json.trace([kept(context=replace(CONTEXT, link=link))])

    assert shown["spans"][0]["links"] == [{"trace_id": "0a" * 16, "span_id": "0b" * 8}]


def test_the_requests_of_one_trace_are_shown_together() -> None:
    """Offsets count from the first request."""
    shown = trace_json.trace([kept(1), kept(2, started_at=1_500)])

    assert [request["number"] for request in shown["requests"]] == [1, 2]
    assert [span["offset_ms"] for span in shown["spans"] if span["kind"] == "server"] == [0, 500]


def test_a_log_record_is_beside_its_trace() -> None:
    """It is decoded from the exported bytes; a request that is not logged has none."""
    (span, *_) = spans_of()
    attributes: Attributes = {"url.path": "/a", "kong.latency.request_ms": 10}
    encoded = encode_log(CONTEXT, span.end_unix_ns, attributes, Severity(13, "WARN"), "GET /a")
    shown = trace_json.trace([kept(1), msgspec.structs.replace(kept(2), log_record=encoded)])

    assert shown["log_records"] == [
        {
            "span_id": CONTEXT.span_id.hex(),
            "at_ms": span.end_unix_ns / 1e6,
            "severity": "WARN",
            "body": "GET /a",
            "attributes": [("url.path", "/a"), ("kong.latency.request_ms", 10)],
        }
    ]


def test_a_long_target_is_cut_in_the_list_alone() -> None:
    """The waterfall shows all of it."""
    trace = kept(request={"uri": "/" + "x" * 5000})

    assert len(trace_json.row(trace)["target"]) == 512
    assert len(dict(trace_json.trace([trace])["spans"][0]["attributes"])["url.path"]) > 512
