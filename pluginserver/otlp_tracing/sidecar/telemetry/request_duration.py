"""Rates, errors and durations of all requests, counted before sampling, so that they are true at any rate.

The labels say what the spans say (`kong.service.name`, `kong.route.name`, …); an exemplar leads from a
bucket to a trace that exists, since only kept ones become exemplars.

Source: OpenMetrics 1.0, exemplars; semantic conventions 1.44, http.server.request.duration.
"""

from __future__ import annotations

from prometheus_client import Histogram

from otlp_tracing.metrics import NAMES_REFUSED, REQUEST_DURATION
from otlp_tracing.sidecar.ingest.log_record import LogRecord
from otlp_tracing.sidecar.spans.client import response_source
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.model import SpanRecord
from otlp_tracing.sidecar.spans.server import status_code
from otlp_tracing.sidecar.telemetry.registry import Metrics

__all__ = ["RequestMetrics"]

# Seventeen lines on /metrics for each, 34,000 in all: some megabytes a scrape, the most one should be.
MAX_SERIES = 2_000
_OTHER = "_OTHER"


class RequestMetrics:
    """The histogram of request durations; past the bound, services and routes are counted together."""

    def __init__(self, metrics: Metrics, methods: HttpMethods, max_series: int = MAX_SERIES) -> None:
        self._metrics = metrics
        self._methods = methods
        self._max_series = max_series
        self._series: dict[tuple[str, ...], Histogram] = {}

    def observe(self, record: LogRecord, place: tuple[str, str], kept: SpanRecord | None) -> None:
        """Count one request.

        Args:
            record: of the request.
            place: its.
            kept: its SERVER span, None where the trace is not kept.
        """
        series = self._of(self._labels(record, place))
        seconds = max(record.latencies.request or 0, 0) / 1000
        if kept is None:
            series.observe(seconds)
        else:
            series.observe(seconds, {"trace_id": kept.trace_id.hex(), "span_id": kept.span_id.hex()})

    def _of(self, labels: tuple[str, ...]) -> Histogram:
        series = self._series.get(labels)
        if series is not None:
            return series
        if len(self._series) >= self._max_series and labels[:2] != (_OTHER, _OTHER):
            self._metrics.add(NAMES_REFUSED, "request_duration")
            return self._of((_OTHER, _OTHER, *labels[2:]))
        series = self._series[labels] = self._metrics.series(REQUEST_DURATION, *labels)
        return series

    def _labels(self, record: LogRecord, place: tuple[str, str]) -> tuple[str, ...]:
        status = status_code(record)
        return (
            *place,
            self._methods.name(record.request.method),
            f"{status // 100}xx" if 100 <= status < 600 else "",
            response_source(record),
        )
