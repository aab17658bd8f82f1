"""Promises of sidecar/telemetry/histogram.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otlp_tracing.sidecar.telemetry.exemplars import Exemplar
from otlp_tracing.sidecar.telemetry.histogram import ExponentialHistogram, Histogram


@pytest.mark.parametrize(("value", "bucket"), [(0, 0), (1, 0), (1.01, 1), (5, 1), (5.01, 2), (1e9, 2)])
def test_a_bound_belongs_to_its_bucket(value: float, bucket: int) -> None:
    """Upper bounds are inclusive, as Prometheus and OTLP have them; the last bucket has none."""
    histogram = Histogram((1, 5))
    histogram.observe(value)

    assert histogram.counts.index(1) == bucket
    assert histogram.sum == value


def test_a_bucket_has_its_last_exemplar() -> None:
    """A value without a kept trace leaves the exemplar in place."""
    histogram = Histogram((1, 5))
    for value in (2, 3):
        histogram.observe(value, Exemplar(value, 1, b"t" * 16, b"s" * 8))
    histogram.observe(4)

    assert {bucket: one.value for bucket, one in histogram.exemplars.items()} == {1: 3}


@pytest.mark.parametrize("values", [[], [0.5], [1, 1, 1], [9, 1, 5, 5.01, 0, 7], [3, -1, 0, -1], [-1]])
@pytest.mark.parametrize("make", [lambda: Histogram((1, 5)), ExponentialHistogram])
def test_values_can_be_counted_together(values: list[float], make: Callable[[], Histogram]) -> None:
    """The result is that of counting them one by one, without negative ones, which Kong writes for unknown."""
    together, single = make(), make()
    together.observe_all(list(values))
    for value in values:
        if value >= 0:
            single.observe(value)

    assert together.counts == single.counts
    assert together.sum == single.sum
    if isinstance(together, ExponentialHistogram) and isinstance(single, ExponentialHistogram):
        assert (together.buckets, together.zeros) == (single.buckets, single.zeros)


def test_the_smallest_number_is_counted() -> None:
    """In seconds, a millisecond value as small as a float can be is 0."""
    histogram = ExponentialHistogram(0.001)
    histogram.observe(5e-324)

    assert (histogram.count, histogram.zeros) == (1, 1)


def test_values_may_have_another_unit() -> None:
    """Milliseconds fall into buckets of seconds."""
    histogram = Histogram((0.1, 1), factor=0.001)
    histogram.observe(100)
    histogram.observe(101)

    assert histogram.counts == [1, 1, 0]
