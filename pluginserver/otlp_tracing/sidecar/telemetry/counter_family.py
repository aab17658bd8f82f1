"""A counter and its series on /metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily

from otlp_tracing.metrics import Metric


class CounterFamily:
    """The counts of one metric, by label values; a collector of prometheus_client, which takes ten times as long."""

    def __init__(self, metric: Metric) -> None:
        self._metric: Final = metric
        self.series: Final[dict[tuple[str, ...], int]] = {(value,): 0 for value in metric.values}
        if not metric.labels:
            self.series[()] = 0

    def add(self, label_values: tuple[str, ...], amount: int) -> None:
        """Count `amount` more; 0 makes the series visible.

        Raises:
            ValueError: for too many label values, or too few.
        """
        count = self.series.get(label_values)
        if count is None:
            if len(label_values) != len(self._metric.labels):
                raise ValueError(f"{self._metric.name} has the labels {self._metric.labels}, not {label_values}")
            count = 0
        self.series[label_values] = count + amount

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Return all series, as a scrape shows them."""
        family = CounterMetricFamily(
            self._metric.name.removesuffix("_total"), self._metric.help, labels=self._metric.labels
        )
        for label_values, count in list(self.series.items()):
            family.add_metric(label_values, count)
        yield family
