"""A collector that is not there: no request notices, and every span arrives when it is back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from e2e.client import Caller
from e2e.collectors import Collector
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RunningGateway
from e2e.metrics import metric
from e2e.spans import CLIENT, SERVER, wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for

_RECEIVED = "otlp_tracing_spans_received_total"
_ANSWERED_FOR = (
    "otlp_tracing_spans_exported_total",
    "otlp_tracing_spans_rejected_total",
    "otlp_tracing_spans_dropped_total",
)
_REQUESTS = 20
_MARKER = "sent-during-the-outage"


def _send(gateway: RunningGateway) -> Caller:
    caller = Caller.new()
    assert gateway.get(f"/api/{_MARKER}", [caller.header()]).status == 200
    return caller


def _received(gateway: RunningGateway, destination: str) -> float:
    return metric(gateway, _RECEIVED, destination=destination)


def _books_balance(gateway: RunningGateway, destination: str) -> bool:
    """Tell whether every span has arrived or been given up; waiting spans move from one reading to the next."""
    answered = sum(metric(gateway, name, destination=destination) for name in _ANSWERED_FOR)
    return _received(gateway, destination) == answered


def test_requests_and_books_survive_an_outage_of_the_collector(
    start_gateway: StartGateway, upstream: RecordingUpstream, start_collector: Callable[[], Collector]
) -> None:
    """Away from the start, there, away, there: all answers are 200, and in the end every span has arrived once."""
    collector = start_collector()
    content = declaration(service("api", upstream.url, [tracing(collector.endpoint)]))
    with start_gateway(content) as gateway:
        for _ in range(_REQUESTS):
            _send(gateway)
        for _ in range(2):
            with collector:
                wait_for(lambda: _is_traced(gateway, collector), 30, "spans arrive")
            for _ in range(_REQUESTS):
                _send(gateway)

        with collector:
            requests = sum(request.target == f"/{_MARKER}" for request in upstream.requests)
            wait_for(lambda: _kinds(collector)[SERVER] >= requests, 30, f"the spans of {requests} requests arrive")
            wait_for(lambda: _books_balance(gateway, collector.endpoint), 10, "the books balance")
            received = _received(gateway, collector.endpoint)
            wait_for(lambda: len(collector.spans()) >= received, 10, "what was received is written")
            exported = metric(gateway, _ANSWERED_FOR[0], destination=collector.endpoint)

    assert _kinds(collector)[SERVER] == _kinds(collector)[CLIENT] == requests
    assert received == exported == len(collector.spans())
    assert len({(span.trace_id, span.span_id) for span in collector.spans()}) == exported


def _kinds(collector: Collector) -> Counter[int]:
    return Counter(span.kind for span in collector.spans())


def _is_traced(gateway: RunningGateway, collector: Collector) -> bool:
    caller = _send(gateway)
    try:
        return len(wait_for_trace(collector, caller.trace_id, seconds=3)) == 2
    except AssertionError:
        return False


def test_an_outage_of_all_signals_leaves_a_gap_in_metrics_alone(
    start_gateway: StartGateway,
    upstream: RecordingUpstream,
    start_collector: Callable[[], Collector],
    pytestconfig: pytest.Config,
) -> None:
    """After `--outage-seconds` every trace and log record is there, both books balance, and metrics go on counting."""
    collector = start_collector()
    entry = tracing(collector.endpoint, metrics={"enabled": True, "interval": 1000}, logs={"requests": "all"})
    with start_gateway(declaration(service("api", upstream.url, [entry]))) as gateway:
        with collector:
            before = [_send(gateway) for _ in range(_REQUESTS)]
            wait_for(lambda: _has_all(collector, before), 30, "all three signals arrive")
            wait_for(lambda: _is_settled(gateway, collector.endpoint), 10, "the collector's answers arrive")
        during = _send_for(gateway, pytestconfig.getoption("--outage-seconds"))
        with collector:
            callers = [*before, *during, _send(gateway)]
            wait_for(lambda: _has_all(collector, callers), 60, f"all signals of {len(callers)} requests arrive")
            wait_for(lambda: _is_settled(gateway, collector.endpoint), 10, "the books of both balance")
            received = [metric(gateway, f"otlp_tracing_{one}_received_total") for one in ("spans", "log_records")]

    trace_ids = [caller.trace_id for caller in callers]
    assert sorted(record["traceId"] for record in collector.log_records(trace_ids)) == sorted(trace_ids)
    assert _kinds(collector)[SERVER] == _kinds(collector)[CLIENT] == len(callers)
    assert received == [len(collector.spans()), len(callers)]
    starts, counts = zip(*collector.request_counts(), strict=True)
    assert len(set(starts)) == 1, "cumulative counts begin at one moment"
    assert list(counts) == sorted(counts)
    assert counts[-1] == len(callers)


def _is_settled(gateway: RunningGateway, destination: str) -> bool:
    received, exported = (metric(gateway, f"otlp_tracing_log_records_{one}_total") for one in ("received", "exported"))
    return received == exported and _books_balance(gateway, destination)


def _send_for(gateway: RunningGateway, seconds: float) -> list[Caller]:
    end = time.monotonic() + seconds
    callers = []
    while time.monotonic() < end:
        callers.append(_send(gateway))
        time.sleep(0.02)  # fifty requests a second: the length of the outage matters, not the load
    return callers


def _has_all(collector: Collector, callers: Sequence[Caller]) -> bool:
    trace_ids = {caller.trace_id for caller in callers}
    return (
        _kinds(collector)[SERVER] >= len(callers)
        and len(collector.log_records(trace_ids)) >= len(callers)
        and any(count == len(callers) for _, count in collector.request_counts())
    )
