"""Promises of sidecar/live/requests.py."""

from __future__ import annotations

from otlp_tracing.sidecar.live.requests import MAX_PER_SECOND, RecentRequests


def weights(requests: RecentRequests, second: int, count: int, *, failed: bool = False) -> list[int]:
    every = (requests.weight(second + n / count, failed=failed, kept=False) for n in range(count))
    return [weight for weight in every if weight]


def test_at_a_low_rate_every_request_is_selected() -> None:
    """Each has the weight 1."""
    requests = RecentRequests()

    assert weights(requests, 1, MAX_PER_SECOND) == [1] * MAX_PER_SECOND
    assert weights(requests, 2, MAX_PER_SECOND) == [1] * MAX_PER_SECOND


def test_at_a_high_rate_weights_add_up_to_all_requests() -> None:
    """The rate of the second before decides the share."""
    requests = RecentRequests()
    count = 20 * MAX_PER_SECOND
    first, second, third = (weights(requests, number, count) for number in (1, 2, 3))

    assert len(first) < 5 * MAX_PER_SECOND
    assert len(second) == len(third) == MAX_PER_SECOND
    assert set(third) == {20}
    assert count - 20 < sum(first) <= count
    assert 3 * count - 20 < sum(first) + sum(second) + sum(third) <= 3 * count
    assert requests.seen == 3 * count


def test_failed_requests_are_selected_separately() -> None:
    """A few of them are all selected beside thousands of others."""
    requests = RecentRequests()
    weights(requests, 1, 20 * MAX_PER_SECOND)
    weights(requests, 2, 20 * MAX_PER_SECOND)

    assert weights(requests, 2, 3, failed=True) == [1, 1, 1]


def test_after_a_pause_every_request_is_selected() -> None:
    """The first one carries the weight of those that were not selected before."""
    requests = RecentRequests()
    seen = 2 * MAX_PER_SECOND + 1
    chosen = weights(requests, 1, seen)

    later = weights(requests, 9, 2)

    assert sum(chosen) + sum(later) == seen + 2
    assert later[-1] == 1
