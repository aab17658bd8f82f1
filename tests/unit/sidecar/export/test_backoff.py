"""Promises of sidecar/export/backoff.py."""

from __future__ import annotations

import pytest

from doubles import ManualClock
from otlp_tracing.sidecar.export.backoff import RetryBackoff


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_attempts_grow_apart_up_to_ten_seconds(spread: float) -> None:
    """By 1.6 each time, a fifth more or less by chance; a success begins anew."""
    clock = ManualClock()
    pace = RetryBackoff(clock, lambda: spread)
    delays = []
    for _ in range(8):
        pace.fail("down")
        delays.append(pace.delay())
        clock.now += pace.delay()
    expected = [min(1.6**n, 10) * (0.8 + 0.4 * spread) for n in range(8)]
    pace.succeed()

    assert delays == pytest.approx(expected)
    assert pace.delay() == 0
    pace.fail("down")
    assert pace.delay() == pytest.approx(expected[0])


def test_requests_that_fail_together_are_one_failure() -> None:
    """Four at a time must not make the pause four steps longer."""
    clock = ManualClock()
    pace = RetryBackoff(clock, lambda: 0.5)
    for _ in range(4):
        pace.fail("down")

    assert pace.delay() == pytest.approx(1.0)


def test_the_collectors_wish_goes_before_our_own() -> None:
    """Never sooner than it asks for."""
    clock = ManualClock()
    pace = RetryBackoff(clock, lambda: 0.0)
    pace.fail("slowly", 7.0)

    assert pace.delay() == 7.0


def test_how_long_it_has_failed_and_why_is_known() -> None:
    """From the first failure on, with the last one's reason."""
    clock = ManualClock()
    pace = RetryBackoff(clock, lambda: 0.5)
    pace.fail("one")
    clock.now += 60
    pace.fail("two", hold=True)

    assert (pace.failing_since, pace.reason, pace.held) == (1000.0, "two", True)
    assert 24 <= pace.delay() <= 36
    pace.try_now()
    assert pace.delay() == 0
