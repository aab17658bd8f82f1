"""Promises of sidecar/export/metric_exporter.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

import virtual_time
from otlp_tracing import log_limit
from otlp_tracing.config.settings import MetricExport, Settings
from otlp_tracing.metrics import METRIC_EXPORTS
from otlp_tracing.sidecar.export import metric_exporter
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.metric_exporter import MetricExporters
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.sidecar.telemetry.series_table import Instrument, SeriesTable

DURATION = Instrument("duration", "s", "Duration.", (1,))


class Collector:
    """A transport that answers as told."""

    def __init__(self) -> None:
        self.answer = ExportResult(Action.SUCCESS)
        self.at: list[float] = []
        self.messages: list[ExportMetricsServiceRequest] = []
        self.is_closed = False

    async def export(self, request: bytes) -> ExportResult:
        self.at.append(asyncio.get_running_loop().time())
        if self.answer.action is Action.SUCCESS:
            self.messages.append(ExportMetricsServiceRequest.FromString(request))
        return self.answer

    async def close(self) -> None:
        self.is_closed = True

    def counts(self) -> list[int]:
        """Return the count of the metric `duration` in each message."""
        return [
            metric.histogram.data_points[0].count
            for message in self.messages
            for metric in message.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == "duration"
        ]


class Stage:
    """The exporters of a sidecar."""

    def __init__(self, **environment: str) -> None:
        self.collectors: list[Collector] = []
        self.metrics = Metrics()
        self.exporters = MetricExporters(self.metrics, environment, self._transport)

    def _transport(self, _: Destination) -> Collector:
        self.collectors.append(Collector())
        return self.collectors[-1]

    def table(self, endpoint: str = "http://c:4317", **metrics: Any) -> SeriesTable:
        settings = Settings.from_config({"endpoint": endpoint, "metrics": {"enabled": True, **metrics}})
        return self.exporters.table(Destination.from_settings(settings, {}, signal="metrics"), settings.metrics)


def staged(scene: Callable[[Stage], Awaitable[None]], **environment: str) -> None:
    async def run() -> None:
        stage = Stage(**environment)
        try:
            await scene(stage)
        finally:
            await stage.exporters.close(1)

    virtual_time.run(run())


@pytest.mark.parametrize(
    ("variable", "configured", "interval_s"),
    [("", None, 60), ("5000", None, 5), ("soon", None, 60), ("5000", 2000, 2)],
)
def test_metrics_are_sent_at_the_interval(variable: str, configured: int | None, interval_s: float) -> None:
    """The entry's, otherwise that of OTEL_METRIC_EXPORT_INTERVAL, otherwise a minute."""

    async def scene(stage: Stage) -> None:
        started = asyncio.get_running_loop().time()
        stage.table(interval=configured).histogram(DURATION, {}).observe(1)
        await asyncio.sleep(2.5 * interval_s)
        assert [at - started for at in stage.collectors[0].at] == pytest.approx([interval_s, 2 * interval_s])

    staged(scene, OTEL_METRIC_EXPORT_INTERVAL=variable)


def test_an_outage_costs_points_and_no_counts() -> None:
    """Attempts go on; the first one that succeeds has the counts of the outage, and failures are counted."""

    async def scene(stage: Stage) -> None:
        table = stage.table(interval=1000)
        (collector,) = stage.collectors
        collector.answer = ExportResult(Action.RETRY, "down", error_type="UNAVAILABLE")
        for _ in range(600):
            table.histogram(DURATION, {}).observe(1)
            await asyncio.sleep(1)
        assert collector.counts() == []
        collector.answer = ExportResult(Action.SUCCESS)
        await asyncio.sleep(15)
        assert collector.counts()[0] == 600
        value = stage.metrics.value
        assert value(METRIC_EXPORTS, destination="http://c:4317", error_type="UNAVAILABLE") > 10
        assert value(METRIC_EXPORTS, destination="http://c:4317", error_type="") >= 1

    staged(scene)


def test_internal_errors_do_not_fill_the_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """They end no exports, and those of one interval are one line."""
    monkeypatch.setattr(log_limit, "INTERVAL_SECONDS", 3600.0)

    async def scene(stage: Stage) -> None:
        table = stage.table(interval=1000)
        (collector,) = stage.collectors
        table.histogram(DURATION, {}).observe(1)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(collector, "export", None)  # which cannot be called
            await asyncio.sleep(3600)
        await asyncio.sleep(15)
        assert collector.counts()[0] == 1

    staged(scene)

    assert caplog.text.count("internal error in the export of metrics") == 1


def test_a_refused_key_is_not_tried_without_a_reason() -> None:
    """After a rotation the former key is refused for ever: without new requests it is left alone."""

    async def scene(stage: Stage) -> None:
        table = stage.table(interval=1000)
        (collector,) = stage.collectors
        table.histogram(DURATION, {}).observe(1)
        collector.answer = ExportResult(Action.HOLD_UNAUTHORIZED, "no", error_type="401")
        await asyncio.sleep(600)
        assert len(collector.at) == 1
        collector.answer = ExportResult(Action.SUCCESS)
        table.histogram(DURATION, {}).observe(1)
        await asyncio.sleep(60)
        assert collector.counts()[0] == 2

    staged(scene)


def test_a_key_in_the_url_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Not in the log, the state or the counts; and the sidecar's own counts of that destination are sent."""

    async def scene(stage: Stage) -> None:
        stage.exporters.table(
            Destination.from_settings(
                Settings.from_config({"endpoint": "http://c:4318/v1/traces?key=geheim", "protocol": "http/protobuf"}),
                {},
                signal="metrics",
            ),
            MetricExport(interval=1000),
        ).histogram(DURATION, {}).observe(1)
        (collector,) = stage.collectors
        await asyncio.sleep(2.5)
        assert "http://c:4318/v1/metrics" in str(collector.messages[-1])  # the first message is counted after it
        collector.answer = ExportResult(Action.RETRY, "down", error_type="UNAVAILABLE")
        await asyncio.sleep(5)
        shown = f"{caplog.text}{stage.exporters.status()}{stage.metrics.samples(METRIC_EXPORTS)}{collector.messages}"
        assert "down" in shown
        assert "geheim" not in shown

    staged(scene)


def test_the_end_sends_the_last_counts() -> None:
    """Requests since the last export are not lost at a stop."""
    stages: list[Stage] = []

    async def scene(stage: Stage) -> None:
        stages.append(stage)
        stage.table().histogram(DURATION, {}).observe(1)

    staged(scene)
    (collector,) = stages[0].collectors
    assert collector.counts() == [1]
    assert collector.is_closed


def test_two_gateways_write_different_series() -> None:
    """The resource has a service.instance.id, the same after a restart; a configured one takes precedence."""

    async def instance_id(place: str) -> str:
        collector = Collector()
        exporters = MetricExporters(Metrics(), {}, lambda _: collector, place)
        settings = Settings.from_config({"endpoint": "http://c:4317"})
        destination = Destination.from_settings(settings, {}, signal="metrics")
        exporters.table(destination, settings.metrics).histogram(DURATION, {}).observe(1)
        await exporters.close(1)
        attributes = {one.key: one.value for one in collector.messages[0].resource_metrics[0].resource.attributes}
        return attributes["service.instance.id"].string_value

    async def ids() -> list[str]:
        return [await instance_id(place) for place in ("/a", "/a", "/b")]

    first, again, other = virtual_time.run(ids())
    assert first == again != other


def test_destinations_are_bounded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Configurations that change for ever do not grow the sidecar; the end of the oldest one is logged."""
    monkeypatch.setattr(metric_exporter, "MAX_DESTINATIONS", 2)

    async def scene(stage: Stage) -> None:
        for name in ("a", "b", "a", "c"):
            stage.table(f"http://{name}:4317")
        await asyncio.sleep(1)
        assert [one.is_closed for one in stage.collectors] == [False, True, False]

    staged(scene)
    assert "metrics destination removed: metrics are sent to 2 destinations at most" in caplog.text


def test_the_state_of_a_destination_is_said() -> None:
    """Nothing yet, accepted, failing since when and why, and refused with the remedy."""
    states = []

    async def scene(stage: Stage) -> None:
        stage.table(interval=1000)
        (collector,) = stage.collectors
        states.append(stage.exporters.status()[0])
        for answer in (
            ExportResult(Action.SUCCESS),
            ExportResult(Action.RETRY, "UNAVAILABLE"),
            ExportResult(Action.HOLD_UNAUTHORIZED, "UNAUTHENTICATED", command="mend it"),
        ):
            collector.answer = answer
            await asyncio.sleep(60)
            states.append(stage.exporters.status()[0])

    staged(scene)
    assert [one["state"] for one in states] == ["idle", "ok", "retrying", "held"]
    assert [one["reason"] for one in states] == ["", "", "UNAVAILABLE", "UNAUTHENTICATED"]
    assert states[2]["failing_s"] > 50
    assert (states[0]["destination"], states[0]["signal"]) == ("http://c:4317 (metrics)", "metrics")
    assert "headers" in states[3]["remedy"]
    assert [one["command"] for one in states] == ["", "", "", "mend it"]
    assert states[0]["endpoint"] == "http://c:4317"
