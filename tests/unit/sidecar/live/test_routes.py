"""Promises of sidecar/live/routes.py."""

from __future__ import annotations

import math
import random

import pytest

from doubles import ManualClock
from otlp_tracing.sidecar.live.routes import INTERVAL_SECONDS, INTERVALS, RecentRoutes

SHARES = (0.5, 0.95, 0.99)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_requests_are_counted_by_outcome(clock: ManualClock) -> None:
    """All requests of a route count: kept, refused, failed."""
    routes = RecentRoutes(clock)
    for status, kept in ((200, True), (404, False), (503, True), (200, False)):
        routes.observe(clock(), ("s", "r"), status, 5, kept=kept)

    (one,) = routes.figures(SHARES)
    assert (one.service, one.route) == ("s", "r")
    assert (one.requests, one.kept, one.client_errors, one.server_errors) == (4, 2, 1, 1)


def test_percentiles_are_off_by_three_percent_at_the_most(clock: ManualClock) -> None:
    """The sorted durations are the reference."""
    routes = RecentRoutes(clock)
    durations = sorted(random.Random(1).lognormvariate(4, 1.5) for _ in range(5000))
    for one in durations:
        routes.observe(clock(), ("s", "r"), 200, one, kept=False)

    (figures,) = routes.figures(SHARES)
    for share, shown in zip(SHARES, figures.percentiles_ms, strict=True):
        true = durations[math.ceil(share * len(durations)) - 1]
        assert shown == pytest.approx(true, rel=0.03)


def test_requests_of_five_minutes_ago_do_not_count(clock: ManualClock) -> None:
    """A route without a request in the window is left out."""
    routes = RecentRoutes(clock)
    routes.observe(clock(), ("s", "old"), 200, 1, kept=False)
    clock.now += INTERVAL_SECONDS * INTERVALS / 2
    routes.observe(clock(), ("s", "new"), 200, 1, kept=False)
    assert {one.route for one in routes.figures(SHARES)} == {"old", "new"}

    clock.now += INTERVAL_SECONDS * INTERVALS / 2

    assert [one.route for one in routes.figures(SHARES)] == ["new"]


def test_the_history_ends_now(clock: ManualClock) -> None:
    """It has a number for each interval, the current one last."""
    routes = RecentRoutes(clock)
    routes.observe(clock(), ("s", "r"), 200, 1, kept=False)
    clock.now += 2 * INTERVAL_SECONDS
    routes.observe(clock(), ("s", "r"), 200, 1, kept=False)
    routes.observe(clock(), ("s", "r"), 200, 1, kept=False)

    (one,) = routes.figures(SHARES)
    assert len(one.history) == INTERVALS
    assert one.history[-3:] == (1, 0, 2)


def test_the_window_grows_after_the_start(clock: ManualClock) -> None:
    """A rate just after the start is not divided by five minutes."""
    routes = RecentRoutes(clock)
    clock.now += 20
    assert routes.window_seconds == 20

    clock.now += 10_000

    assert INTERVAL_SECONDS * (INTERVALS - 1) <= routes.window_seconds <= INTERVAL_SECONDS * INTERVALS


def test_a_forgotten_route_has_no_figures(clock: ManualClock) -> None:
    """RouteTable bounds the routes, and says which it has evicted; one that it never counted is ignored."""
    routes = RecentRoutes(clock)
    for name in ("a", "b"):
        routes.observe(clock(), ("s", name), 200, 1, kept=False)
    for name in ("a", "c"):
        routes.forget(("s", name))

    assert [one.route for one in routes.figures(SHARES)] == ["b"]


def test_a_request_may_take_no_time(clock: ManualClock) -> None:
    """Kong counts whole milliseconds, so 0 is a duration of less than one."""
    routes = RecentRoutes(clock)
    routes.observe(clock(), ("s", "r"), 200, 0, kept=False)

    (one,) = routes.figures(SHARES)
    assert one.percentiles_ms[0] < 1
