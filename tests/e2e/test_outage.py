"""A collector that is not there: no request notices, and every span arrives when it is back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

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
