"""Promises of sidecar/live/rate_limiter.py."""

from __future__ import annotations

from otlp_tracing.sidecar.live.rate_limiter import RateLimiter


def test_each_selected_request_stands_for_those_before_it() -> None:
    """After a second of a steady rate no more than the bound are selected, with weights that add up to all."""
    limiter = RateLimiter(max_per_second=10)
    for number in range(100):
        limiter.weight(number / 100)

    weights = [limiter.weight(1 + number / 100) for number in range(100)]

    assert sum(weight > 0 for weight in weights) == 10
    assert sum(weights) >= 90


def test_few_requests_are_all_selected() -> None:
    """Below the bound each request counts for itself."""
    limiter = RateLimiter(max_per_second=10)

    assert [limiter.weight(number) for number in range(20)] == [1] * 20
