"""Requests that no well-behaved client sends: answered as without the plugin, and traced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from e2e.client import Caller, HeaderLines
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RunningGateway
from e2e.spans import SERVER, SinkReader
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

# Kong's queue waits for the sidecar's first 10 s, because the request without the plugin names no entry.
_SECONDS = 20.0
_BYTES = bytes(range(0x80, 0x100))
_LONG = [(f"x-long-{number}", 500 * "y") for number in range(60)]
_VALID = "00-" + 32 * "a" + "-" + 16 * "b" + "-01"


@dataclass(frozen=True)
class Hostile:
    """A request's query and header lines."""

    query: bytes = b""
    headers: HeaderLines = field(default_factory=list)


_CASES = {
    "header-not-utf-8": Hostile(headers=[("x-name", b"caf\xe9 " + _BYTES), ("user-agent", _BYTES)]),
    "tracestate-not-utf-8": Hostile(headers=[("traceparent", _VALID), ("tracestate", b"a=" + _BYTES)]),
    "traceparent-not-utf-8": Hostile(headers=[("traceparent", _VALID.encode() + _BYTES)]),
    "query-of-bytes": Hostile(query=b"?" + _BYTES + b"=" + _BYTES + b"&token=" + _BYTES),
    "query-badly-encoded": Hostile(query=b"?%zz=%&%00=%ff&&&=;token=%e9"),
    "headers-of-30-kB": Hostile(headers=_LONG),
    "a-hundred-headers": Hostile(headers=[(f"x-{number}", "y") for number in range(95)]),
    "two-traceparents": Hostile(headers=[("traceparent", _VALID), ("traceparent", _VALID.replace("a", "c"))]),
    "long-traceparent": Hostile(headers=[("traceparent", "01" + _VALID[2:] + "-" + 6000 * "d")]),
    "long-tracestate": Hostile(headers=[("traceparent", _VALID), ("tracestate", 700 * "a=b,")]),
    "nul-like-escapes": Hostile(query=b"?a=\\u0000", headers=[("x-name", b'"\\u0000\\ud800"')]),
}


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink
) -> Iterator[RunningGateway]:
    traced = service("traced", upstream.url, [tracing(sink.sink.endpoint)])
    with start_gateway(declaration(traced, service("plain", upstream.url))) as running:
        yield running


@pytest.mark.parametrize("case", _CASES)
def test_the_answer_is_the_same_and_the_request_is_traced(
    gateway: RunningGateway, spans_at_sink: SinkReader, case: str
) -> None:
    """Whatever bytes come, the status is the one without the plugin, and there is a span for the request."""
    hostile, marker = _CASES[case], Caller.new().span_id

    plain = gateway.get(f"/plain/{marker}".encode() + hostile.query, hostile.headers)
    traced = gateway.get(f"/traced/{marker}".encode() + hostile.query, hostile.headers)

    assert (plain.status, plain.body) == (traced.status, traced.body)
    assert traced.status == 200
    wait_for(
        lambda: [
            span
            for span in spans_at_sink.spans()
            if span.kind == SERVER and span.attributes["url.path"] == f"/traced/{marker}"
        ],
        _SECONDS,
        "the request's span",
    )


def test_two_traceparents_start_a_new_trace(gateway: RunningGateway, upstream: RecordingUpstream) -> None:
    """Neither of the two is trusted, and one traceparent of the gateway is sent upstream."""
    marker = Caller.new().span_id

    gateway.get(f"/traced/{marker}", _CASES["two-traceparents"].headers)

    trace_id, _, flags = upstream.request(marker).traceparent
    assert trace_id not in {32 * "a", 32 * "c"}
    assert flags == "03"
