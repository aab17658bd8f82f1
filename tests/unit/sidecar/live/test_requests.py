"""Promises of sidecar/live/requests.py."""

from __future__ import annotations

from otlp_tracing.sidecar.live.requests import MAX_PER_SECOND, RecentRequests


def weights(requests: RecentRequests, second: int, count: int, *, failed: bool = False) -> list[int]:
    every = (requests.weight(second + n / count, failed=failed, kept=False) for n in range(count))
    return [weight for weight in every if weight]


def test_every_request_is_chosen_while_there_are_few() -> None:
    """Each stands for itself."""
    requests = RecentRequests()

    assert weights(requests, 1, MAX_PER_SECOND) == [1] * MAX_PER_SECOND
    assert weights(requests, 2, MAX_PER_SECOND) == [1] * MAX_PER_SECOND


def test_of_many_some_are_chosen_that_stand_for_all() -> None:
    """As many as the second before tells; no request is counted twice, and none is lost."""
    requests = RecentRequests()
    count = 20 * MAX_PER_SECOND
    first, second, third = (weights(requests, number, count) for number in (1, 2, 3))

    assert len(first) < 5 * MAX_PER_SECOND
    assert len(second) == len(third) == MAX_PER_SECOND
    assert set(third) == {20}
    assert count - 20 < sum(first) <= count
    assert 3 * count - 20 < sum(first) + sum(second) + sum(third) <= 3 * count
    assert requests.seen == 3 * count


def test_failed_requests_are_chosen_apart() -> None:
    """A few of them are all there beside thousands of others."""
    requests = RecentRequests()
    weights(requests, 1, 20 * MAX_PER_SECOND)
    weights(requests, 2, 20 * MAX_PER_SECOND)

    assert weights(requests, 2, 3, failed=True) == [1, 1, 1]


def test_a_quiet_second_ends_it() -> None:
    """After a pause every request is chosen again, and the first stands for those passed over before."""
    requests = RecentRequests()
    seen = 2 * MAX_PER_SECOND + 1
    chosen = weights(requests, 1, seen)

    later = weights(requests, 9, 2)

    assert sum(chosen) + sum(later) == seen + 2
    assert later[-1] == 1
