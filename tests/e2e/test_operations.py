"""The operator's view: health, metrics, log lines of other plugins, an orderly end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.client import Caller, fetch
from e2e.collectors import Collector
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RunningGateway
from e2e.metrics import metric, samples
from e2e.processes import alive
from e2e.spans import SinkReader, wait_for_trace, whole_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_PROMETHEUS = {"name": "prometheus", "config": {"status_code_metrics": True, "latency_metrics": True}}


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("file-log") / "requests.jsonl"


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink, log_file: Path
) -> Iterator[RunningGateway]:
    file_log = {"name": "file-log", "config": {"path": str(log_file), "reopen": True}}
    api = service("api", upstream.url, [tracing(sink.sink.endpoint), file_log])
    with start_gateway(declaration(api, plugins=[_PROMETHEUS])) as running:
        yield running


def _sampled(gateway: RunningGateway) -> float:
    return sum(metric(gateway, "otlp_tracing_requests_total", decision=by) for by in ("parent", "rate"))


@pytest.mark.parametrize(("path", "text"), [("/healthz", "ok\n"), ("/readyz", "ready\n")])
def test_the_sidecar_says_how_it_is(gateway: RunningGateway, path: str, text: str) -> None:
    """A probe on loopback gets 200 and a word."""
    answer = fetch(gateway.sidecar_url, path)

    assert (answer.status, answer.text()) == (200, text)


def test_metrics_count_requests_and_spans(
    gateway: RunningGateway, sink: ThreadedOtlpSink, spans_at_sink: SinkReader
) -> None:
    """One request more is one sampled request more, and its spans are that many exported spans more."""

    def counts() -> tuple[float, float]:
        return _sampled(gateway), metric(gateway, "otlp_tracing_spans_exported_total", destination=sink.sink.endpoint)

    requests, spans = counts()
    caller = Caller.new()

    gateway.get("/api/1", [caller.header()])

    wait_for_trace(spans_at_sink, caller.trace_id)
    sent = whole_trace(spans_at_sink, caller.trace_id)
    wait_for(lambda: counts() == (requests + 1, spans + len(sent)), 10, f"a request and {len(sent)} spans more")


def test_the_bundled_prometheus_plugin_counts_beside_us(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """A route's requests are in Kong's own metrics as well."""
    # A code that no other test causes: Kong adds its workers' counts up once a second, those of earlier tests too.
    labels = {"route": "api-route", "service": "api-service", "code": "410"}
    caller = Caller.new()

    gateway.get("/api/status/410", [caller.header()])

    wait_for_trace(spans_at_sink, caller.trace_id)
    wait_for(lambda: samples(gateway.status_url, "kong_http_requests_total", **labels) == 1, 10, "the request")


def test_other_log_plugins_get_the_trace_id(gateway: RunningGateway, spans_at_sink: SinkReader, log_file: Path) -> None:
    """Kong's own log record carries the trace's ids, so every log plugin writes them."""
    caller = Caller.new()

    gateway.get(f"/api/{caller.span_id}", [caller.header()])

    server, client = wait_for_trace(spans_at_sink, caller.trace_id)

    def lines() -> list[str]:
        *whole, _unfinished = log_file.read_text().split("\n") if log_file.exists() else [""]
        return [line for line in whole if caller.span_id in line]

    (line,) = wait_for(lines, 10, "the request's log line")
    field = json.loads(line)["otlp_tracing"]
    assert re.fullmatch("[0-9a-f]{32}", field.pop("entry"))
    assert field == {
        "trace_id": caller.trace_id,
        "span_id": server.span_id,
        "upstream_span_id": client.span_id,
        "parent_span_id": caller.span_id,
        "flags": 1,
        "sampled": True,
        "decided_by": "parent",
    }


def test_stopping_leaves_no_process_and_no_span_behind(
    start_gateway: StartGateway, upstream: RecordingUpstream, start_collector: Callable[[], Collector]
) -> None:
    """Spans that wait for a batch are sent before the end, and no process of the plugin server is left."""
    with start_collector() as collector:
        entry = tracing(collector.endpoint, batch_export={"timeout": 600_000})
        with start_gateway(declaration(service("api", upstream.url, [entry]))) as gateway:
            callers = [Caller.new() for _ in range(5)]
            for caller in callers:
                assert gateway.get("/api/1", [caller.header()]).status == 200
            wait_for(lambda: _sampled(gateway) == len(callers), 10, "every request's record is handled")
            wait_for(lambda: metric(gateway, "otlp_tracing_spans_spooled") >= 2 * len(callers), 10, "their spans wait")
            assert collector.spans() == []
            processes = gateway.processes()
            gateway.stop()

            assert set(processes) == {"serve", "worker", "sidecar"}
            assert [pid for pids in processes.values() for pid in pids if alive(pid)] == []
        for caller in callers:
            wait_for_trace(collector, caller.trace_id)
