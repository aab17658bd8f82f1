"""Promises of sidecar/tail/load_factor.py."""

from __future__ import annotations

import pytest

from otlp_tracing.config.settings import Load
from otlp_tracing.sidecar.tail.load_factor import LoadFactor

BOTH = Load(0.8, 0.3)


def after(*loads: float, load: Load = BOTH) -> list[float]:
    factor = LoadFactor(load)
    values = []
    for cpu in loads:
        factor.observe(cpu)
        values.append(factor.value)
    return values


def test_a_busy_machine_halves_the_rates() -> None:
    """At each look, down to a sixteenth; exactly at the bound nothing happens."""
    assert after(0.81, 0.9, 1.0, 1.0, 1.0, 1.0) == [0.5, 0.25, 0.125, 0.0625, 0.0625, 0.0625]
    assert after(0.8) == [1.0]


def test_an_idle_machine_raises_them_by_half() -> None:
    """Up to the configured rates, and no further."""
    assert after(0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1) == pytest.approx([0.5, 0.25, 0.375, 0.5625, 0.84375, 1.0, 1.0])


def test_between_the_bounds_nothing_moves() -> None:
    """The distance between them keeps the rates from swinging."""
    assert after(0.9, 0.5, 0.31, 0.79) == [0.5] * 4


def test_without_a_bound_it_is_off() -> None:
    """`low` alone does nothing."""
    assert after(1.0, 0.0, load=Load(None, 0.3)) == [1.0, 1.0]
