"""Which traces are kept: by the rate, by the caller, and the same ones everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.client import Caller
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RunningGateway
from e2e.metrics import metric
from e2e.spans import SERVER, SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_MANY = 300
_HALF = 1 << 55  # of 56 bits of randomness
_RULES = [
    {"name": "debug", "headers": ["x-debug: yes"], "rate": 1},
    {"name": "health", "methods": ["GET"], "paths": ["*/health*", "*/status/*"], "rate": 0},
]


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink
) -> Iterator[RunningGateway]:
    rates = {"none": 0, "all": 1, "half": 0.5}
    services = [
        service(name, upstream.url, [tracing(sink.sink.endpoint, sampling={"rate": rate})])
        for name, rate in rates.items()
    ]
    anew = tracing(sink.sink.endpoint, sampling={"rate": 0.5, "parent": "ignore"})
    ruled = tracing(sink.sink.endpoint, sampling={"rate": 1, "rules": _RULES, "keep": {"statuses": [418]}})
    services += [service("anew", upstream.url, [anew]), service("ruled", upstream.url, [ruled])]
    with start_gateway(declaration(*services)) as running:
        yield running


def _traceparent(gateway: RunningGateway, upstream: RecordingUpstream, path: str, flags: str | None) -> tuple[str, str]:
    """Send a request with or without a caller's context; return the trace id and flags that went upstream."""
    caller = Caller.new()
    headers = [caller.header(flags)] if flags else []
    assert gateway.get(f"{path}/{caller.span_id}", headers).status == 200
    trace_id, _, sent_flags = upstream.request(caller.span_id).traceparent
    assert flags is None or trace_id == caller.trace_id
    return trace_id, sent_flags


def _not_sampled(gateway: RunningGateway) -> float:
    return metric(gateway, "otlp_tracing_requests_total", decision="not_sampled")


@pytest.mark.parametrize(
    "case",
    [
        ("/all", None, "03"),
        ("/all", "01", "01"),
        ("/all", "03", "03"),
        ("/none", "01", "01"),
        ("/half", "03", "03"),
    ],
)
def test_a_kept_trace_says_so_upstream(
    gateway: RunningGateway, upstream: RecordingUpstream, spans_at_sink: SinkReader, case: tuple[str, str | None, str]
) -> None:
    """A rate of 1 keeps new traces, a caller that sampled is followed whatever the rate; the upstream is told."""
    path, flags, sent = case

    trace_id, sent_flags = _traceparent(gateway, upstream, path, flags)

    assert sent_flags == sent
    assert len(wait_for_trace(spans_at_sink, trace_id)) == 2


@pytest.mark.parametrize(
    "case",
    [("/none", None, "02"), ("/all", "00", "00"), ("/all", "02", "02"), ("/half", "00", "00")],
)
def test_a_trace_that_is_not_kept_is_propagated_all_the_same(
    gateway: RunningGateway, upstream: RecordingUpstream, spans_at_sink: SinkReader, case: tuple[str, str | None, str]
) -> None:
    """A rate of 0 keeps no new trace. A caller that did not sample is followed, and the trace continues unsampled."""
    path, flags, sent = case
    before = _not_sampled(gateway)

    trace_id, sent_flags = _traceparent(gateway, upstream, path, flags)

    assert sent_flags == sent
    wait_for(lambda: _not_sampled(gateway) > before, 10, "the request's record is handled")
    kept, _ = _traceparent(gateway, upstream, "/all", "01")
    wait_for_trace(spans_at_sink, kept)  # sent after the other, so that would have arrived by now
    assert trace_id not in {span.trace_id for span in spans_at_sink.spans()}


@pytest.mark.parametrize(("path", "flags"), [("/half", None), ("/anew", "00")], ids=["new", "parent-ignored"])
def test_half_the_traces_are_those_above_the_threshold(
    gateway: RunningGateway, upstream: RecordingUpstream, spans_at_sink: SinkReader, path: str, flags: str | None
) -> None:
    """At a rate of 0.5 exactly those traces are kept in which the last 56 bits of the id are in the upper half."""
    sent = dict(_traceparent(gateway, upstream, path, flags) for _ in range(_MANY))

    expected = {trace_id for trace_id in sent if int(trace_id[-14:], 16) >= _HALF}
    assert {trace_id for trace_id, sent_flags in sent.items() if int(sent_flags, 16) & 1} == expected

    def arrived() -> set[str]:
        return {span.trace_id for span in spans_at_sink.spans() if span.kind == SERVER} & set(sent)

    wait_for(lambda: len(arrived()) >= len(expected), 20, f"{len(expected)} of {_MANY} traces")
    assert arrived() == expected
    assert _MANY / 4 < len(expected) < _MANY * 3 / 4


def _reason(
    gateway: RunningGateway, spans: SinkReader, path: str, *headers: tuple[str, str]
) -> dict[str, object] | None:
    """Send a request that begins a trace; return why it was kept, None if it was not."""
    agent = f"test/{Caller.new().span_id}"  # tells this request's span apart; Kong 3.4 gives no request id
    gateway.get(f"/ruled{path}", [("User-Agent", agent), *headers])
    kept, _ = _kept_after(gateway)
    wait_for_trace(spans, kept)
    for span in spans.spans():
        if span.kind == SERVER and span.attributes.get("user_agent.original") == agent:
            prefix = "otlp_tracing.sampling."
            return {name.removeprefix(prefix): v for name, v in span.attributes.items() if name.startswith(prefix)}
    return None


def _kept_after(gateway: RunningGateway) -> tuple[str, int]:
    # The marker passes through the same entry, so that it arrives after the spans that the test looks for.
    caller = Caller.new()
    return caller.trace_id, gateway.get(f"/ruled/{caller.span_id}", [caller.header("01")]).status


def test_a_span_says_by_which_rule_it_is_there(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """The first rule that matches decides: by header, by method and path, and the rate where none does."""
    assert _reason(gateway, spans_at_sink, "/a") == {"reason": "rate", "probability": 1.0}
    assert _reason(gateway, spans_at_sink, "/healthz") is None
    assert _reason(gateway, spans_at_sink, "/healthz", ("x-debug", "yes")) == {
        "reason": "rule",
        "rule": "debug",
        "probability": 1.0,
    }


def test_what_the_head_dropped_is_kept_for_a_reason(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """An error and a chosen status are kept after the response, without a probability."""
    assert _reason(gateway, spans_at_sink, "/status/204") is None
    assert _reason(gateway, spans_at_sink, "/status/503") == {"reason": "error"}
    assert _reason(gateway, spans_at_sink, "/status/418") == {"reason": "status"}
