"""Rates, errors and durations of all requests, counted before sampling, so that they are true at any rate.

The labels have the values of the span attributes (`kong.service.name`, `kong.route.name`, …).

Source: semantic conventions 1.44, http.server.request.duration.
"""

from __future__ import annotations

from typing import Final

from otlp_tracing.metrics import NAMES_REFUSED, REQUEST_DURATION
from otlp_tracing.sidecar.outcome import RequestOutcome
from otlp_tracing.sidecar.route_table import OTHER, RouteKey, RouteTable
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.telemetry.exemplars import exemplar_of
from otlp_tracing.sidecar.telemetry.histogram import Histogram
from otlp_tracing.sidecar.telemetry.registry import Metrics

# A series is a route, a method, a class of statuses and a source. Each has seventeen lines on /metrics, 34,000 in all:
# some megabytes a scrape, the most one should be.
MAX_SERIES = 2_000
_STATUS_CLASSES: Final = ["", "1xx", "2xx", "3xx", "4xx", "5xx"]


class RequestDuration:
    """The histogram of request durations; past the bound on series, services and routes are counted together.

    Args:
        metrics: where it is shown.
        methods: those that are known.
        routes: bounds the routes.
        max_series: the bound on series.
    """

    def __init__(
        self, metrics: Metrics, methods: HttpMethods, routes: RouteTable, max_series: int = MAX_SERIES
    ) -> None:
        self._metrics = metrics
        self._methods = methods
        self._max_series = max_series
        self._series: dict[tuple[str, ...], Histogram] = {}
        routes.on_evicted(self._forget)

    def observe(self, outcome: RequestOutcome) -> None:
        """Count one request; a kept one becomes an exemplar."""
        record = outcome.record
        if record.outline.session is not None:
            return  # a connection lasts as long as its client wants
        status, (service, route) = record.status, outcome.route
        status_class = _STATUS_CLASSES[status // 100] if 100 <= status < 600 else ""
        labels = (service, route, self._methods.name(record.method), status_class, record.source)
        series = self._series.get(labels) or self._new_series(labels)
        seconds = record.duration_ms / 1000
        series.observe(seconds, exemplar_of(outcome, seconds))

    def _new_series(self, labels: tuple[str, ...]) -> Histogram:
        if len(self._series) >= self._max_series and labels[:2] != OTHER:
            self._metrics.add(NAMES_REFUSED, "request_duration")
            labels = (*OTHER, *labels[2:])
        series = self._series[labels] = self._metrics.series(REQUEST_DURATION, *labels)
        return series

    def _forget(self, route: RouteKey) -> None:
        self._metrics.forget_prefix(REQUEST_DURATION, *route)
        self._series = {labels: series for labels, series in self._series.items() if labels[:2] != route}
