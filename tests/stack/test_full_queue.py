"""A backend that is away or refuses, behind the shipped collector, and the collector's metrics meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import grpc
import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from e2e.ports import HOST, accepts, free_port
from e2e.waiting import wait_for
from faults.delivery.issue import SPANS_A_REQUEST, Run
from faults.delivery.producer import Producer
from faults.delivery.scene import entry
from faults.delivery.sidecar import Sidecar
from otlp_tracing_devtools.fake_collector import OtlpSink, ScriptedAnswer
from stack import programs, shipped
from stack.programs import Program, ProgramMissing

_EXPORTS = 60
_QUEUED_SPANS = 20
_REQUESTS_A_SECOND = 300
_START_SECONDS = 30.0
_DELIVERY_SECONDS = 60.0

_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

_QUICK_RETRY = {"initial_interval": "100ms", "max_interval": "200ms"}
_SMALL_QUEUE = {"queue_size": _QUEUED_SPANS, "batch": {"flush_timeout": "100ms", "min_size": 5, "max_size": 10}}


Exporters = Callable[[str], dict[str, Any]]
"""Makes the settings of a shipped file's exporter for this test, from the backend's `host:port`."""


class _Ports(NamedTuple):
    """Where the collector listens, and where it expects its backend."""

    receiver: int
    metrics: int
    backend: int


def _to_jaeger(backend: str) -> dict[str, Any]:
    return {"otlp_grpc/jaeger": {"endpoint": backend, "sending_queue": _SMALL_QUEUE, "retry_on_failure": _QUICK_RETRY}}


def _to_tail_collectors(backend: str) -> dict[str, Any]:
    return {
        "load_balancing": {
            "resolver": {"dns": None, "static": {"hostnames": [backend]}},
            "protocol": {"otlp": {"retry_on_failure": {**_QUICK_RETRY, "max_elapsed_time": "300ms"}}},
        }
    }


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Give an empty folder with a path short enough for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="otlp-tracing-") as folder:
        yield Path(folder)


def test_a_full_queue_refuses_and_loses_nothing(tmp_path: Path) -> None:
    """Without a backend some exports get UNAVAILABLE; every other one has arrived once the backend is there."""
    with _running(tmp_path, "collector.yaml", _to_jaeger) as ports:
        outcomes = [_export(ports) for _ in range(_EXPORTS)]
        accepted = {outcome for outcome in outcomes if isinstance(outcome, bytes)}
        refusals = [outcome for outcome in outcomes if not isinstance(outcome, bytes)]
        metrics = _metrics(ports)
        arrived = asyncio.run(_arriving(ports.backend, len(accepted)))

    assert set(refusals) == {(grpc.StatusCode.UNAVAILABLE, "sending queue is full")}
    assert arrived == accepted
    assert "otelcol_exporter_enqueue_failed_spans" in metrics


def test_an_agent_accepts_nothing_that_it_cannot_send(tmp_path: Path) -> None:
    """Nothing waits in the agent of a fleet: without a collector behind it, it refuses."""
    with _running(tmp_path, "fleet/agent.yaml", _to_tail_collectors) as ports:
        code, _ = _export(ports)

    assert code == grpc.StatusCode.UNAVAILABLE


def test_what_the_backend_refuses_for_good_is_counted(tmp_path: Path) -> None:
    """Spans that the backend answers INVALID_ARGUMENT to are in the metric that CollectorSpansDropped watches."""

    async def refusing() -> None:
        sink = OtlpSink()
        await sink.start(ports.backend)
        try:
            sink.script(ScriptedAnswer(code=grpc.StatusCode.INVALID_ARGUMENT))
            await asyncio.to_thread(_export, ports)
            await asyncio.to_thread(
                wait_for,
                lambda: "otelcol_exporter_send_failed_spans" in _metrics(ports),
                _DELIVERY_SECONDS,
                "the failure is counted",
            )
        finally:
            await sink.stop()

    with _running(tmp_path, "collector.yaml", _to_jaeger) as ports:
        asyncio.run(refusing())


def test_the_sidecar_keeps_what_the_collector_refuses(tmp_path: Path, short_folder: Path) -> None:
    """While the backend is away spans wait in the sidecar's spool; once it is there, every one of them has arrived."""
    run = Run(1 << 21)
    with _running(tmp_path, "collector.yaml", _to_jaeger) as ports, Sidecar(short_folder) as sidecar:
        endpoint = f"http://{HOST}:{ports.receiver}"
        batches = {"timeout": 50, "send_batch_size": _QUEUED_SPANS // 2}
        producer = Producer(sidecar.socket, run, entry(endpoint, run, batch_export=batches))
        try:
            with producer.sending(_REQUESTS_A_SECOND):
                wait_for(lambda: sidecar.books(endpoint).spooled > 5 * _QUEUED_SPANS, 30, "spans wait in the spool")
            producer.wait_until_acknowledged()
            issued = run.issued * SPANS_A_REQUEST
            arrived = asyncio.run(_arriving(ports.backend, issued))
            wait_for(lambda: not sidecar.books(endpoint).waiting, 30, "nothing waits any more")
            books = sidecar.books(endpoint)
        finally:
            producer.close()

    assert len(arrived) == issued
    assert books.exported == issued
    assert not sum(books.lost.values()), books


@contextlib.contextmanager
def _running(folder: Path, file: str, exporters: Exporters) -> Iterator[_Ports]:
    """Run the collector with a shipped file until the block ends; nothing listens at its backend's address."""
    ports = _Ports(free_port(), free_port(), free_port())
    try:
        program = programs.collector()
    except ProgramMissing as reason:
        pytest.skip(str(reason))
    override = folder / "override.yaml"
    override.write_text(yaml.safe_dump(_overrides(file, exporters, ports)))
    files = (shipped.FOLDER / "collector" / file, override)
    command = [str(program), *(argument for each in files for argument in ("--config", f"file:{each}"))]
    with Program(command, folder / "collector.log") as collector:
        wait_for(lambda: accepts((HOST, ports.receiver)) or collector.ended, _START_SECONDS, "the collector listens")
        assert not collector.ended, collector.tail()
        yield ports


def _overrides(file: str, exporters: Exporters, ports: _Ports) -> dict[str, Any]:
    reader = {"host": HOST, "port": ports.metrics, "without_type_suffix": True}
    protocols = {"grpc": {"endpoint": f"{HOST}:{ports.receiver}"}, "http": {"endpoint": f"{HOST}:{free_port()}"}}
    unused = {"prometheus": {"endpoint": f"{HOST}:{free_port()}"}} if file == "collector.yaml" else {}
    return {
        "receivers": {"otlp": {"protocols": protocols}},
        "exporters": exporters(f"{HOST}:{ports.backend}") | unused,
        "extensions": {"health_check": {"endpoint": f"{HOST}:{free_port()}"}},
        "service": {"telemetry": {"metrics": {"readers": [{"pull": {"exporter": {"prometheus": reader}}}]}}},
    }


def _export(ports: _Ports) -> bytes | tuple[grpc.StatusCode, str]:
    """Export one span. Return its id if it was accepted, or how it was refused."""
    span = Span(trace_id=os.urandom(16), span_id=os.urandom(8), name="waits")
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])])
    with grpc.insecure_channel(f"{HOST}:{ports.receiver}") as channel:
        try:
            channel.unary_unary(_METHOD, None, None)(request.SerializeToString(), timeout=10)
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
    return span.span_id


def _metrics(ports: _Ports) -> str:
    with urlopen(f"http://{HOST}:{ports.metrics}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


async def _arriving(port: int, count: int) -> set[bytes]:
    """Start the backend and return the ids of the spans that it is sent, once there are as many."""

    def ids(of: OtlpSink) -> set[bytes]:
        return {bytes.fromhex(span.span_id) for span in of.spans}

    sink = OtlpSink()
    await sink.start(port)
    try:
        await sink.wait_for(lambda sink: len(ids(sink)) >= count, _DELIVERY_SECONDS)
        return ids(sink)
    finally:
        await sink.stop()
