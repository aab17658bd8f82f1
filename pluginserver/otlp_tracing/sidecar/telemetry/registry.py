"""The registry behind /metrics: the counts of the sidecar, and those that the workers report."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, ProcessCollector

from otlp_tracing import __version__
from otlp_tracing.metrics import METRICS, Metric, Total
from otlp_tracing.sidecar.telemetry.histogram import Histogram
from otlp_tracing.sidecar.telemetry.histogram_family import HistogramFamily

_log = logging.getLogger("otlp_tracing.sidecar.telemetry.registry")

_MAX_SENDERS = 1024  # processes of the gateway remembered; a worker that is respawned is a new one
_MAX_REPORTED = 256  # label combinations taken from reports; ours have a few dozen


class Metrics:
    """Every metric of otlp_tracing.metrics, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Info("otlp_tracing_build", "Version of otlp-tracing.", registry=self.registry).info({"version": __version__})
        self._families: dict[str, Counter | Gauge | HistogramFamily] = {
            metric.name: self._family(metric) for metric in METRICS
        }
        self._labels = {metric.name: len(metric.labels) for metric in METRICS if metric.kind == "counter"}
        self._reported: OrderedDict[bytes, dict[tuple[str, tuple[str, ...]], int]] = OrderedDict()
        # Series by metric and label values: as many as prometheus_client holds, found in a tenth of the time.
        self._series: dict[tuple[str, tuple[str, ...]], Counter | Histogram] = {}
        self._readers: dict[tuple[str, str], list[Callable[[], float]]] = {}
        self._combinations: set[tuple[str, tuple[str, ...]]] = set()

    def add(self, metric: Metric, *label_values: str, amount: int = 1) -> None:
        """Count `amount` more; 0 makes the series visible."""
        series = self._series.get((metric.name, label_values)) or self._known(metric, label_values)
        assert isinstance(series, Counter)
        series.inc(amount)

    def gauge(self, metric: Metric, label_value: str, read: Callable[[], float]) -> Callable[[], None]:
        """Show the value of `read` at each scrape; for one label value, the sum of its readers.

        Returns:
            To be called when `read` shall not be asked any more.
        """
        readers = self._readers.setdefault((metric.name, label_value), [])
        readers.append(read)
        family = self._families[metric.name]
        assert isinstance(family, Gauge)
        family.labels(label_value).set_function(lambda: sum(one() for one in readers))
        return lambda: readers.remove(read)

    def set(self, metric: Metric, value: float, *label_values: str) -> None:
        """Show a value until another is set."""
        family = self._families[metric.name]
        assert isinstance(family, Gauge)
        (family.labels(*label_values) if label_values else family).set(value)

    def forget(self, metric: Metric, *label_values: str) -> None:
        """Remove a series; a series that was never set is ignored."""
        with contextlib.suppress(KeyError):
            self._families[metric.name].remove(*label_values)

    def forget_prefix(self, metric: Metric, *label_values: str) -> None:
        """Remove the series with these values of the first labels."""
        count = len(label_values)
        for name, values in [one for one in self._series if one[0] == metric.name and one[1][:count] == label_values]:
            del self._series[name, values]
            self._families[name].remove(*values)

    def forget_all(self, label: str, value: str) -> None:
        """Show no series any more that has this value of a label."""
        places = {metric.name: metric.labels.index(label) for metric in METRICS if label in metric.labels}
        for name, values in [one for one in self._series if one[0] in places and one[1][places[one[0]]] == value]:
            del self._series[name, values]
            self._families[name].remove(*values)
        for name in places:
            if self._readers.pop((name, value), None) is not None:
                self._families[name].remove(value)

    def flag(self, metric: Metric, read: Callable[[], float]) -> None:
        """Show the value of `read`, for a gauge without labels."""
        family = self._families[metric.name]
        assert isinstance(family, Gauge)
        family.set_function(read)

    def series(self, metric: Metric, *label_values: str) -> Histogram:
        """Return one series of a histogram, for frequent observers."""
        series = self._known(metric, label_values)
        assert isinstance(series, Histogram)
        return series

    def value(self, metric: Metric, **labels: str) -> float:
        """Return a series' value, 0 where it is not there."""
        return self.registry.get_sample_value(metric.name, labels) or 0.0

    def samples(self, metric: Metric) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series of a counter or a gauge."""
        return [
            (sample.labels, sample.value)
            for family in self._families[metric.name].collect()
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
            if self._labels.get(name) != len(label_values) or not self._admit(name, label_values):
                continue
            increase = total - known.get((name, label_values), 0)
            if increase > 0:
                family = self._families[name]
                assert isinstance(family, Counter)
                (family.labels(*label_values) if label_values else family).inc(increase)
                known[name, label_values] = total

    def _admit(self, name: str, label_values: tuple[str, ...]) -> bool:
        if (name, label_values) in self._combinations:
            return True
        if len(self._combinations) >= _MAX_REPORTED:
            return False
        self._combinations.add((name, label_values))
        return True

    def _known(self, metric: Metric, label_values: tuple[str, ...]) -> Counter | Histogram:
        series = self._series.get((metric.name, label_values))
        if series is None:
            family = self._families[metric.name]
            assert not isinstance(family, Gauge)
            if isinstance(family, HistogramFamily):
                series = family.labels(*label_values)
            else:
                series = family.labels(*label_values) if label_values else family
            self._series[metric.name, label_values] = series
        return series

    def _family(self, metric: Metric) -> Counter | Gauge | HistogramFamily:
        if metric.kind == "histogram":
            family = HistogramFamily(metric)
            self.registry.register(family)
            return family
        if metric.kind == "counter":
            counter = Counter(metric.name.removesuffix("_total"), metric.help, metric.labels, registry=self.registry)
            for value in metric.values:
                counter.labels(value)
            return counter
        return Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
