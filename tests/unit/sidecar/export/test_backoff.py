"""Promises of sidecar/export/backoff.py."""

from __future__ import annotations

import pytest

from doubles import ManualClock
from otlp_tracing.sidecar.export.backoff import RetryBackoff


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_attempts_grow_apart_up_to_ten_seconds(spread: float) -> None:
    """By 1.6 each time, a fifth more or less by chance; a success begins anew."""
    clock = ManualClock()
    backoff = RetryBackoff(clock, lambda: spread)
    delays = []
    for _ in range(8):
        backoff.record_failure("down")
        delays.append(backoff.delay())
        clock.now += backoff.delay()
    expected = [min(1.6**n, 10) * (0.8 + 0.4 * spread) for n in range(8)]
    backoff.record_success()

    assert delays == pytest.approx(expected)
    assert backoff.delay() == 0
    backoff.record_failure("down")
    assert backoff.delay() == pytest.approx(expected[0])


def test_requests_that_fail_together_are_one_failure() -> None:
    """Four at a time must not make the pause four steps longer."""
    clock = ManualClock()
    backoff = RetryBackoff(clock, lambda: 0.5)
    for _ in range(4):
        backoff.record_failure("down")

    assert backoff.delay() == pytest.approx(1.0)


def test_the_collectors_wish_goes_before_our_own() -> None:
    """Never sooner than it asks for."""
    clock = ManualClock()
    backoff = RetryBackoff(clock, lambda: 0.0)
    backoff.record_failure("slowly", 7.0)

    assert backoff.delay() == 7.0


def test_how_long_it_has_failed_and_why_is_known() -> None:
    """From the first failure on, with the last one's reason."""
    clock = ManualClock()
    backoff = RetryBackoff(clock, lambda: 0.5)
    backoff.record_failure("one")
    clock.now += 60
    backoff.record_failure("two", hold="unauthorized")

    assert (backoff.failing_since, backoff.reason, backoff.held) == (1000.0, "two", "unauthorized")
    assert 24 <= backoff.delay() <= 36
    backoff.retry_now()
    assert backoff.delay() == 0
