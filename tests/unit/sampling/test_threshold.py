"""Promises of sampling/threshold.py."""

from __future__ import annotations

import random

import pytest

from otlp_tracing.sampling import threshold


@pytest.mark.parametrize(
    ("rate", "encoded"),
    # OpenTelemetry specification, trace/tracestate-probability-sampling.md: precision of four digits.
    [(1, "0"), (0.5, "8"), (0.25, "c"), (0.1, "e666"), (0.01, "fd70a"), (2**-56, "ffffffffffffff"), (0.99, "028f6")],
)
def test_a_rate_is_encoded_as_the_specification_does(rate: float, encoded: str) -> None:
    """The `th` of a rate, trailing zeros cut."""
    assert threshold.encode(threshold.from_rate(rate)) == encoded


def test_no_rate_keeps_nothing() -> None:
    """At 0 not even the highest randomness is kept."""
    assert threshold.from_rate(0) > (1 << 56) - 1


@pytest.mark.parametrize("rate", [0.0001, 0.001, 0.01, 0.1, 0.5, 0.9])
def test_a_threshold_survives_its_encoding(rate: float) -> None:
    """The threshold that decides is the one that is stated, and it represents the rate."""
    exact = threshold.from_rate(rate)

    assert threshold.decode(threshold.encode(exact)) == exact
    assert 1 - exact / 2**56 == pytest.approx(rate, rel=1e-3)


def test_what_a_lower_rate_keeps_a_higher_one_keeps() -> None:
    """Consistency: the traces kept at 10 % are among those kept at 50 %."""
    source = random.Random(1)
    values = [threshold.randomness(source.randbytes(16), None) for _ in range(10_000)]
    kept = {rate: {value for value in values if value >= threshold.from_rate(rate)} for rate in (0.1, 0.5)}

    assert kept[0.1] < kept[0.5]
    assert len(kept[0.1]) == pytest.approx(1000, abs=120)


@pytest.mark.parametrize("text", ["", "g", "0" * 15, "-1", "8 ", "FD"])
def test_a_malformed_threshold_is_none(text: str) -> None:
    """One to fourteen lower-case digits, nothing else."""
    assert threshold.decode(text) is None


def test_randomness_is_the_ids_unless_stated() -> None:
    """The last seven bytes of the id count, a well-formed `rv` before them."""
    trace_id = bytes(range(16))

    assert threshold.randomness(trace_id, None) == 0x090A0B0C0D0E0F
    assert threshold.randomness(trace_id, "00000000000001") == 1
    assert threshold.randomness(trace_id, "1") == 0x090A0B0C0D0E0F
