"""The series of one destination's OTLP metrics, within a bound.

Source: OpenTelemetry specification, metrics/sdk.md, "Cardinality limits": past the bound, values are counted in one
series with the attribute `otel.metric.overflow`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from otlp_tracing.sidecar.spans.model import AttributeValue
from otlp_tracing.sidecar.telemetry.histogram import ExponentialHistogram, Histogram

# Of one metric; the specification's default. A series takes about half a kilobyte.
MAX_SERIES = 2_000
_OVERFLOW: Mapping[str, AttributeValue] = {"otel.metric.overflow": True}
# A series without a value for an hour is forgotten: its route was deleted, or its status is rare.
_IDLE_NS = 3_600 * 10**9


@dataclass(frozen=True)
class Instrument:
    """A histogram as OTLP describes it.

    Args:
        name: of the metric.
        unit: of its values, in UCUM.
        description: one sentence.
        bounds: of the buckets, unless they are exponential.
        factor: of counted values to the unit.
    """

    name: str
    unit: str
    description: str
    bounds: tuple[float, ...]
    factor: float = 1.0


class Series:
    """One histogram of an instrument.

    Args:
        attributes: of the series.
        histogram: its counts since `started_ns`.
        started_ns: nanoseconds since 1970.
    """

    def __init__(self, attributes: Mapping[str, AttributeValue], histogram: Histogram, started_ns: int) -> None:
        self.attributes = attributes
        self.histogram = histogram
        self.started_ns = started_ns
        self.changed_ns = started_ns  # as of the last note()
        self._noted = 0

    def has_news(self) -> bool:
        """Tell whether there are values since the last note()."""
        return self.histogram.count != self._noted

    def note(self, now_ns: int) -> None:
        """Remember that there are new values."""
        self.changed_ns = now_ns
        self._noted = self.histogram.count


class SeriesTable:
    """All series of a destination.

    Args:
        is_exponential: count in exponential buckets.
        on_refused: is called when a value is counted as overflow because there is no room.
        now_ns: nanoseconds since 1970.
        max_series: the bound for each instrument.
    """

    def __init__(
        self,
        *,
        is_exponential: bool = False,
        on_refused: Callable[[], None] = lambda: None,
        now_ns: Callable[[], int] = time.time_ns,
        max_series: int = MAX_SERIES,
    ) -> None:
        self._is_exponential = is_exponential
        self._on_refused = on_refused
        self._now_ns = now_ns
        self._max_series = max_series
        self._series: dict[Instrument, dict[tuple[tuple[str, str], ...], Series]] = {}
        self._counting: list[Callable[[], None]] = []
        self.generation = 0
        """Rises when series are forgotten: then references to their histograms must be forgotten too."""

    def histogram(self, instrument: Instrument, attributes: Mapping[str, AttributeValue]) -> Histogram:
        """Return the histogram of a series, a new one if necessary; that of the overflow if there is no room."""
        series = self._series.setdefault(instrument, {})
        key = _key(attributes)
        if key not in series and len(series) >= self._max_series - 1:
            self._on_refused()
            attributes = _OVERFLOW
            key = _key(attributes)
        if key not in series:
            factor = instrument.factor
            empty = ExponentialHistogram(factor) if self._is_exponential else Histogram(instrument.bounds, factor)
            series[key] = Series(attributes, empty, self._now_ns())
        return series[key].histogram

    def before_reading(self, count: Callable[[], None]) -> Callable[[], None]:
        """Have `count` called before the series are read, to count values that it has put aside.

        Returns:
            A function that ends this: `count` is not called any more.
        """
        self._counting.append(count)
        return lambda: self._counting.remove(count)

    def all(self) -> Iterator[tuple[Instrument, list[Series]]]:
        """Return the series of each instrument."""
        self._count()
        return ((instrument, list(series.values())) for instrument, series in self._series.items())

    def has_changed(self) -> bool:
        """Tell whether a value was counted since the last sweep()."""
        self._count()
        return any(one.has_news() for series in self._series.values() for one in series.values())

    def sweep(self) -> None:
        """Forget the series without a value for an hour."""
        self._count()
        now_ns = self._now_ns()
        for series in self._series.values():
            for key, one in list(series.items()):
                if one.has_news():
                    one.note(now_ns)
                elif now_ns - one.changed_ns >= _IDLE_NS:
                    del series[key]
                    self.generation += 1

    def _count(self) -> None:
        for count in self._counting:
            count()


def _key(attributes: Mapping[str, AttributeValue]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, repr(value)) for name, value in attributes.items()))
