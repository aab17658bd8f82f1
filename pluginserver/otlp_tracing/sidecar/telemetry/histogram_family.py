"""A histogram and its series on /metrics."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import cast

from prometheus_client.core import Exemplar as ShownExemplar
from prometheus_client.core import HistogramMetricFamily

from otlp_tracing.metrics import Metric
from otlp_tracing.sidecar.telemetry.exemplars import Exemplar
from otlp_tracing.sidecar.telemetry.histogram import Histogram


class HistogramFamily:
    """The series of one metric, by label values; a collector of prometheus_client."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self.series: dict[tuple[str, ...], Histogram] = {}

    def labels(self, *label_values: str) -> Histogram:
        """Return a series, a new one if necessary."""
        series = self.series.get(label_values)
        if series is None:
            series = self.series[label_values] = Histogram(self._metric.buckets)
        return series

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Return all series, as a scrape shows them."""
        family = HistogramMetricFamily(self._metric.name, self._metric.help, labels=self._metric.labels)
        for label_values, series in list(self.series.items()):
            family.add_metric(label_values, _buckets(series), series.sum)
        yield family


def _buckets(series: Histogram) -> list[tuple[str, float, ShownExemplar]]:
    ends = [*(str(float(bound)) for bound in series.bounds), "+Inf"]
    return [
        # Its type knows no bucket without an exemplar.
        (end, float(count), cast(ShownExemplar, _shown(series.exemplars.get(number))))
        for number, (end, count) in enumerate(zip(ends, accumulate(series.counts), strict=True))
    ]


def _shown(exemplar: Exemplar | None) -> ShownExemplar | None:
    if exemplar is None:
        return None
    ids = {"trace_id": exemplar.trace_id.hex(), "span_id": exemplar.span_id.hex()}
    return ShownExemplar(ids, exemplar.value, exemplar.unix_ns / 1e9)
