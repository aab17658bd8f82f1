"""The registry behind /metrics: the counts of the sidecar, and those that the workers report."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Gauge, Info, ProcessCollector

from otlp_tracing import __version__
from otlp_tracing.metrics import METRICS, Metric, Total
from otlp_tracing.sidecar.telemetry.counter_family import CounterFamily
from otlp_tracing.sidecar.telemetry.histogram import Histogram
from otlp_tracing.sidecar.telemetry.histogram_family import HistogramFamily

_log = logging.getLogger("otlp_tracing.sidecar.telemetry.registry")

_MAX_SENDERS = 1024  # processes of the gateway remembered; a worker that is respawned is a new one
_MAX_REPORTED = 256  # label combinations taken from reports; workers send a few dozen


class Metrics:
    """Every metric of otlp_tracing.metrics, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        Info("otlp_tracing_build", "Version of otlp-tracing.", registry=self.registry).info({"version": __version__})
        self._counters: dict[str, CounterFamily] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, HistogramFamily] = {}
        for metric in METRICS:
            self._add_family(metric)
        self._labels = {metric.name: metric.labels for metric in METRICS}
        self._reported: OrderedDict[bytes, dict[tuple[str, tuple[str, ...]], int]] = OrderedDict()
        self._readers: dict[tuple[str, str], list[Callable[[], float]]] = {}
        self._combinations: set[tuple[str, tuple[str, ...]]] = set()

    def add(self, metric: Metric, *label_values: str, amount: int = 1) -> None:
        """Count `amount` more; 0 makes the series visible."""
        self._counters[metric.name].add(label_values, amount)

    def gauge(self, metric: Metric, label_value: str, read: Callable[[], float]) -> Callable[[], None]:
        """Show the value of `read` at each scrape; for one label value, the sum of its readers.

        Returns:
            A function that ends this: `read` is not called any more.
        """
        readers = self._readers.setdefault((metric.name, label_value), [])
        readers.append(read)
        self._gauges[metric.name].labels(label_value).set_function(lambda: sum(one() for one in readers))
        return lambda: readers.remove(read)

    def set(self, metric: Metric, value: float, *label_values: str) -> None:
        """Show a value until another is set."""
        family = self._gauges[metric.name]
        (family.labels(*label_values) if label_values else family).set(value)

    def forget(self, metric: Metric, *label_values: str) -> None:
        """Remove a series of a gauge; a series that was never set is ignored."""
        with contextlib.suppress(KeyError):
            self._gauges[metric.name].remove(*label_values)

    def forget_prefix(self, metric: Metric, *label_values: str) -> None:
        """Remove the series with these values of the first labels."""
        self._forget(metric.name, 0, label_values)

    def forget_all(self, label: str, value: str) -> None:
        """Remove every series that has this value of a label."""
        for name, labels in self._labels.items():
            if label in labels:
                self._forget(name, labels.index(label), (value,))
                if self._readers.pop((name, value), None) is not None:
                    self._gauges[name].remove(value)

    def flag(self, metric: Metric, read: Callable[[], float]) -> None:
        """Show the value of `read`, for a gauge without labels."""
        self._gauges[metric.name].set_function(read)

    def series(self, metric: Metric, *label_values: str) -> Histogram:
        """Return one series of a histogram, for frequent observers."""
        return self._histograms[metric.name].labels(*label_values)

    def value(self, metric: Metric, **labels: str) -> float:
        """Return the value of a series, 0 without it."""
        return self.registry.get_sample_value(metric.name, labels) or 0.0

    def samples(self, metric: Metric) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series of a counter or a gauge."""
        return [
            (sample.labels, sample.value)
            for family in (self._counters.get(metric.name) or self._gauges[metric.name]).collect()
            for sample in family.samples
            if sample.name == metric.name
        ]

    def report(self, sender: bytes, totals: Sequence[Total]) -> None:
        """Add the counts of a worker since its start."""
        known = self._reported.setdefault(sender, {})
        self._reported.move_to_end(sender)
        if len(self._reported) > _MAX_SENDERS:
            self._reported.popitem(last=False)
        for name, label_values, total in totals:
            if name not in self._counters or len(self._labels[name]) != len(label_values):
                continue
            if not self._admit(name, label_values):
                continue
            increase = total - known.get((name, label_values), 0)
            if increase > 0:
                self._counters[name].add(label_values, increase)
                known[name, label_values] = total

    def _admit(self, name: str, label_values: tuple[str, ...]) -> bool:
        if (name, label_values) in self._combinations:
            return True
        if len(self._combinations) >= _MAX_REPORTED:
            return False
        self._combinations.add((name, label_values))
        return True

    def _forget(self, name: str, place: int, values: tuple[str, ...]) -> None:
        """Remove the series of a counter or a histogram with these values of the labels from a place on."""
        family = self._counters.get(name) or self._histograms.get(name)
        if family is not None:
            for label_values in [one for one in family.series if one[place : place + len(values)] == values]:
                del family.series[label_values]

    def _add_family(self, metric: Metric) -> None:
        if metric.kind == "gauge":
            self._gauges[metric.name] = Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
            return
        family: CounterFamily | HistogramFamily
        if metric.kind == "counter":
            family = self._counters[metric.name] = CounterFamily(metric)
        else:
            family = self._histograms[metric.name] = HistogramFamily(metric)
        self.registry.register(family)
