"""Histograms: how often values fell into which bucket.

Every request is counted here, and a metrics library takes 2 µs (prometheus_client) to 23 µs (the SDK) for a value. So
a histogram is a list, which takes 0.3 µs, and the libraries only write it out.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from otlp_tracing.sidecar.telemetry.exemplars import Exemplar

EXPONENTIAL_SCALE = 4


class Histogram:
    """Counts with explicit bounds; each bucket remembers its last exemplar.

    Args:
        bounds: upper bounds of the buckets, rising; one more bucket holds the values above the last.
        factor: of values to the unit of the bounds: 0.001 for milliseconds and bounds in seconds.
    """

    __slots__ = ("bounds", "counts", "exemplars", "factor", "sum")
    bounds: Final[list[float]]
    counts: Final[list[int]]
    exemplars: Final[dict[int, Exemplar]]

    def __init__(self, bounds: Sequence[float], factor: float = 1.0) -> None:
        self.bounds = [bound / factor for bound in bounds]
        self.factor: Final = factor
        self.counts = [0] * (len(bounds) + 1)
        self.exemplars = {}
        self.sum = 0.0

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(self.counts)

    def observe(self, value: float, exemplar: Exemplar | None = None) -> None:
        """Count a value that is not negative."""
        bucket = bisect_left(self.bounds, value)
        self.counts[bucket] += 1
        self.sum += value
        if exemplar is not None:
            self.exemplars[bucket] = exemplar

    def observe_all(self, values: list[float]) -> None:
        """Count values, in a fraction of the time; the list is sorted, and those that are negative are left out."""
        values.sort()
        if values and values[0] < 0:
            del values[: bisect_left(values, 0)]
        self.sum += sum(values)
        counted = 0
        for bucket, bound in enumerate(self.bounds):
            if counted == len(values):
                return
            below = bisect_right(values, bound, counted)
            self.counts[bucket] += below - counted
            counted = below
        self.counts[-1] += len(values) - counted


class ExponentialHistogram(Histogram):
    """Counts in base2 exponential buckets: a value in bucket i is above 2^(i/16) and at most 2^((i+1)/16).

    Buckets that grow by 4.4 % tell whole milliseconds and bytes apart well enough. An export merges them if there are
    too many. Source: OpenTelemetry specification, metrics/data-model.md, "ExponentialHistogram".
    """

    __slots__ = ("buckets", "zeros")
    buckets: Final[dict[int, int]]

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__((), factor)
        self.buckets = {}
        self.zeros = 0

    @property
    def count(self) -> int:
        """Number of values."""
        return self.zeros + sum(self.buckets.values())

    def observe(self, value: float, exemplar: Exemplar | None = None) -> None:
        """Count a value that is not negative."""
        bucket = 0
        scaled = value * self.factor
        if scaled > 0:
            bucket = math.ceil(math.log2(scaled) * (1 << EXPONENTIAL_SCALE)) - 1
            self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        else:
            self.zeros += 1
        self.sum += value
        if exemplar is not None:
            # One for each doubling of the value.
            self.exemplars[bucket >> EXPONENTIAL_SCALE] = exemplar

    def observe_all(self, values: list[float]) -> None:
        """Count values; those that are negative are left out."""
        for value in values:
            if value >= 0:
                self.observe(value)
