"""Promises of sidecar/pipeline.py about traces kept after the response."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

import virtual_time
from delivery_doubles import ScriptedTransport
from doubles import ManualClock
from otlp_tracing.context import RequestContext
from otlp_tracing.metrics import RECORDS_REFUSED
from otlp_tracing.sidecar import pipeline
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.export.metric_exporter import MetricExporters
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.pipeline import Pipeline
from otlp_tracing.sidecar.tail.controller import SamplingController
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import CONTEXT

KEY = b"k" * 16
CONFIG = {"__plugin_id": "entry-1", "sampling": {"budget": {"traces_per_second": 1}}}
DROPPED = dataclasses.replace(CONTEXT, flags=2, trace_state="", decided_by="budget", probability=0.1)


class Stage:
    """A pipeline that exports to a scripted transport."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.clock, self.metrics = ManualClock(), Metrics()
        self.exporters = ExporterRegistry(self.metrics, {}, None, lambda _destination: ScriptedTransport())
        rates = SamplingController(self.metrics, self.clock)
        self.pipeline = Pipeline(self.metrics, {}, self.exporters, rates, clock=clock or self.clock)
        self.pipeline.configure(KEY, json.dumps(CONFIG).encode())

    def take(self, context: RequestContext, route: str = "r") -> dict[str, Any]:
        """Take a request; return the report's row of its route."""
        record = {
            "request": {"method": "GET", "uri": "/"},
            "response": {"status": 200},
            "route": {"id": route},
            "started_at": 1,
            "otlp_tracing": context.to_log_field(),
        }
        self.pipeline.take(KEY, json.dumps(record).encode())
        (row,) = [dict(row) for row in self.pipeline.sampling.routes() if row["route"] == route]
        return row


def reports(
    scene: Callable[[Stage], list[dict[str, Any]]], clock: Callable[[], float] | None = None
) -> list[dict[str, Any]]:
    """Run a scene in a loop, which exporters need."""

    async def run() -> list[dict[str, Any]]:
        stage = Stage(clock)
        try:
            return scene(stage)
        finally:
            await stage.exporters.close(1)

    return virtual_time.run(run())


def test_a_rare_route_is_seen_at_a_budgets_end() -> None:
    """The first of a route in a minute is kept, the next ones are not; and the first a minute later."""

    def scene(stage: Stage) -> list[dict[str, Any]]:
        for _ in range(5):
            stage.take(DROPPED)
        stage.take(DROPPED, "other")
        stage.clock.now += 61
        return [stage.take(DROPPED), stage.take(DROPPED, "other")]

    assert [(row["seen"], row["kept_by"]) for row in reports(scene)] == [(6, {"rare": 2}), (2, {"rare": 2})]


def test_a_route_that_is_seen_anyhow_is_not_rare() -> None:
    """A trace kept for whatever reason is the minute's."""
    (row,) = reports(lambda stage: [stage.take(CONTEXT), stage.take(DROPPED)][1:])

    assert row["kept"] == 1


@pytest.mark.parametrize("decided_by", ["rate", "rule", "parent"])
def test_what_was_configured_is_not_kept_for_being_rare(decided_by: str) -> None:
    """A rate of 0 and a caller that did not sample are intended; only a lowered rate makes routes disappear."""
    dropped = dataclasses.replace(DROPPED, decided_by=decided_by, probability=None)

    assert reports(lambda stage: [stage.take(dropped)])[0]["kept"] == 0


def test_a_row_names_its_entry() -> None:
    """By Kong's id of the plugin entry."""
    assert reports(lambda stage: [stage.take(DROPPED)])[0]["entry"] == "entry-1"


def test_an_entry_in_use_is_not_forgotten_for_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many configurations the least recently used is evicted, and is then unknown."""
    monkeypatch.setattr(pipeline, "MAX_ENTRIES", 2)

    def scene(stage: Stage) -> list[dict[str, Any]]:
        for number in range(3):
            stage.take(CONTEXT)
            stage.pipeline.configure(bytes([number]) * 16, json.dumps(CONFIG).encode())
        return [{"known": stage.pipeline.knows(key)} for key in (KEY, b"\0" * 16, b"\2" * 16)]

    assert [one["known"] for one in reports(scene)] == [True, False, True]


def test_an_internal_error_costs_one_record() -> None:
    """It is counted; raised further it would end the connection, and the sender would repeat the record for ever."""

    def broken() -> float:
        raise RuntimeError("no clock")

    def scene(stage: Stage) -> list[dict[str, Any]]:
        stage.pipeline.take(KEY, b"{}")
        return [{"refused": stage.metrics.value(RECORDS_REFUSED, reason="bad_record")}]

    assert reports(scene, broken) == [{"refused": 1}]


SECRET = "jane.doe@example.com"


class Collector:
    """A transport that remembers the metrics."""

    def __init__(self) -> None:
        self.messages: list[ExportMetricsServiceRequest] = []

    async def export(self, request: bytes) -> ExportResult:
        self.messages.append(ExportMetricsServiceRequest.FromString(request))
        return ExportResult(Action.SUCCESS)

    async def close(self) -> None:
        pass


def metrics_sent(config: dict[str, Any], *records: dict[str, Any]) -> list[ExportMetricsServiceRequest]:
    """Run records through a pipeline; return the messages of metrics."""
    collector = Collector()

    async def run() -> None:
        metrics = Metrics()
        exporters = ExporterRegistry(metrics, {}, None, lambda _: ScriptedTransport())
        metric_exporters = MetricExporters(metrics, {}, lambda _: collector)
        rates = SamplingController(metrics, ManualClock())
        stage = Pipeline(metrics, {}, exporters, rates, metric_exporters=metric_exporters)
        stage.configure(KEY, json.dumps(config).encode())
        for record in records:
            stage.take(KEY, json.dumps(record).encode())
        await exporters.close(1)
        await metric_exporters.close(1)

    virtual_time.run(run())
    return collector.messages


def test_metrics_hold_every_request_and_no_secret() -> None:
    """At a rate of 0 too. No attribute of a metric and no exemplar has a value that redaction removes from spans."""
    config = {
        "sampling": {"rate": 0},
        "metrics": {
            "enabled": True,
            "attributes": ["kong.consumer.id", "kong.consumer.username", "kong.workspace.name"],
        },
    }
    record = {
        "request": {
            "method": "GET",
            "uri": f"/{SECRET}?token={SECRET}",
            "url": f"http://{SECRET}/",
            "headers": {"host": SECRET, "authorization": SECRET},
        },
        "response": {"status": 200, "headers": {"set-cookie": SECRET}},
        "route": {"id": "r", "name": SECRET, "paths": [f"/{SECRET}"]},
        "service": {"id": "s", "name": SECRET, "host": SECRET},
        "consumer": {"id": SECRET, "username": SECRET},
        "workspace_name": SECRET,
        "client_ip": "10.0.0.1",
        "latencies": {"request": 7},
        "tries": [{"ip": "10.0.0.2"}],
        "upstream_status": "200",
    }
    call = {
        "request": {"method": "POST", "uri": f"/{SECRET}/M", "headers": {"content-type": "application/grpc"}},
        "upstream_uri": f"/{SECRET}/M",
        "response": {"status": 200, "headers": {"grpc-status": "0"}},
        "tries": [{}],
    }
    (message,) = metrics_sent(config, *[record] * 3, call)

    (duration,) = [
        metric
        for metric in message.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "http.server.request.duration"
    ]
    assert sum(point.count for point in duration.histogram.data_points) == 4
    assert SECRET.encode() not in message.SerializeToString()
    assert b"jane" not in message.SerializeToString()


def test_metrics_are_off_by_default() -> None:
    """Without metrics.enabled nothing is sent."""
    assert metrics_sent({}, {"request": {"uri": "/"}}) == []


def test_metrics_that_cannot_be_sent_cost_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    """An endpoint whose path for metrics is not known is logged with the field; traces are sent as before."""
    config = {"endpoint": "http://c/in", "protocol": "http/protobuf", "metrics": {"enabled": True}}

    assert metrics_sent(config, {"request": {"uri": "/"}}) == []
    assert "no metrics are sent for this entry: metrics.endpoint" in caplog.text
    assert "record rejected" not in caplog.text
