"""Promises of sidecar/telemetry/histogram.py."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.telemetry.histogram import Exemplar, Histogram


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
