"""Plugin entries made from configurations, as a sidecar makes them, with a scripted collector."""

from __future__ import annotations

import json
from typing import Any

import virtual_time
from delivery_doubles import OK, ScriptedTransport
from doubles import ManualClock
from otlp_tracing.sampling.head_policy import HeadPolicy
from otlp_tracing.sidecar.entries.builder import EntryBuilder
from otlp_tracing.sidecar.entries.entry import Entry
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.export.metric_exporter import MetricExporters
from otlp_tracing.sidecar.export.result import ExportResult
from otlp_tracing.sidecar.redaction.report import RedactionReport
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.tail.controller import SamplingController
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.sidecar.telemetry.request_metrics import RequestMetrics


class _MetricTransport(ScriptedTransport):
    async def export(self, _: bytes) -> ExportResult:
        return OK


def built(config: dict[str, Any]) -> tuple[Entry, Metrics]:
    """Return the entry of a configuration, and the metrics that counted its faults."""
    metrics = Metrics()

    async def run() -> Entry:
        exporters = ExporterRegistry(metrics, {}, None, lambda _destination: ScriptedTransport())
        metric_exporters = MetricExporters(metrics, {}, lambda _destination: _MetricTransport())
        builder = EntryBuilder(
            metrics,
            {},
            exporters,
            SamplingController(metrics, ManualClock()),
            HeadPolicy(),
            methods=HttpMethods({}),
            redactions=RedactionReport(metrics),
            request_metrics=RequestMetrics(),
            metric_exporters=metric_exporters,
            recorder=None,
        )
        try:
            return builder.build(b"k" * 16, json.dumps(config).encode())
        finally:
            await exporters.close(1)
            await metric_exporters.close(1)

    return virtual_time.run(run()), metrics
