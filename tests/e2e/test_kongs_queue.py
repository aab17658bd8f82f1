"""Kong's own queue hands the log records over: the plugin announces `access` alone, and http-log brings the rest."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.client import Caller, fetch
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import PluginServer, RunningGateway
from e2e.metrics import metric
from e2e.spans import SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_REQUESTS = 20


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink
) -> Iterator[RunningGateway]:
    def server(prefix: Path) -> PluginServer:
        ours = PluginServer.ours(prefix)
        return PluginServer.with_kongs_queue(ours.start, ours.http_port, prefix, PluginServer.protocol)

    moving = tracing(sink.sink.endpoint, sampling={"budget": {"traces_per_second": 1000}})
    content = declaration(
        service("api", upstream.url),
        service("moving", upstream.url, [moving]),
        plugins=[tracing(sink.sink.endpoint)],
    )
    with start_gateway(content, server) as running:
        yield running


def _refused(gateway: RunningGateway, reason: str) -> float:
    return metric(gateway, "otlp_tracing_records_refused_total", reason=reason)


@pytest.mark.parametrize(("path", "spans"), [("/api/1", 2), ("/moving/1", 2), ("/no-such-route", 1)])
def test_a_request_has_the_same_spans(
    gateway: RunningGateway, spans_at_sink: SinkReader, upstream: RecordingUpstream, path: str, spans: int
) -> None:
    """In the caller's trace, the client span's id upstream; also of a request that `access` never saw."""
    caller = Caller.new()
    gateway.get(f"{path}?{caller.span_id}", [caller.header()])
    found = wait_for_trace(spans_at_sink, caller.trace_id, spans)

    assert [span.parent_span_id for span in found] == [caller.span_id, found[0].span_id][:spans]
    if spans > 1:
        assert upstream.request(caller.span_id).traceparent[1] == found[1].span_id


def test_a_killed_sidecar_costs_nothing(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """Kong's queue repeats what was not acknowledged, to the next sidecar."""
    callers = [Caller.new() for _ in range(_REQUESTS)]
    for number, caller in enumerate(callers):
        assert gateway.get(f"/api/{number}", [caller.header()]).status == 200
        if number == _REQUESTS // 2:
            os.kill(gateway.processes()["sidecar"][0], signal.SIGKILL)
    found = [wait_for_trace(spans_at_sink, caller.trace_id) for caller in callers]

    assert [len(spans) for spans in found] == [2] * _REQUESTS
    wait_for(lambda: metric(gateway, "otlp_tracing_requests_begun_total") > 0, 10, "the workers report again")


def test_only_the_owner_of_the_token_puts_a_record_in(gateway: RunningGateway) -> None:
    """A batch without it is refused and counted; one that is no batch is refused too, and a broken record skipped."""
    assert gateway.server.http_log is not None
    config = gateway.server.http_log["config"]
    url, _, path = config["http_endpoint"].rpartition("/otlp-tracing")
    token = [(name, value) for name, value in config["headers"].items()]
    before = {reason: _refused(gateway, reason) for reason in ("bad_token", "bad_batch", "bad_record")}

    def post(body: bytes, headers: list[tuple[str, str]]) -> int:
        return fetch(url, f"/otlp-tracing{path}", headers, "POST", body=body).status

    assert [post(b"[{}]", []), post(b"hello", token), post(b'[{"request": {},{"a": 1}]', token)] == [401, 400, 200]
    refused = {reason: _refused(gateway, reason) - count for reason, count in before.items()}
    assert refused == {"bad_token": 1, "bad_batch": 1, "bad_record": 1}
