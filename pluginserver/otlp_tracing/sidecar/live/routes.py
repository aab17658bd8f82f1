"""Rate, errors and durations by route over the last minutes, of all requests, kept or not.

A route has an interval for every five seconds in which it had requests. An interval counts durations in buckets
that are 5 % wide, so a percentile is off by at most 2.5 %. Intervals are summed when a page asks. A route with requests
in every interval takes some 30 kB. RouteTable bounds the routes.

Source of the buckets' idea: Masson, Rim, Lee: "DDSketch", VLDB 2019.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

INTERVAL_SECONDS = 5
INTERVALS = 60  # five minutes
_PER_E = 20  # buckets per factor e: each is 5.1 % wide
_SHORTEST_MS = 0.5  # Kong's record counts whole milliseconds


@dataclass(slots=True)
class _Interval:
    """Requests of one route within INTERVAL_SECONDS."""

    number: int
    requests: int = 0
    kept: int = 0
    client_errors: int = 0
    server_errors: int = 0
    durations: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """One route over the window.

    Args:
        service: name of Kong's service; empty without one.
        route: name of Kong's route; empty without one.
        requests: seen.
        kept: requests with an exported trace.
        client_errors: answered 4xx.
        server_errors: answered 5xx.
        percentiles_ms: in the order of the shares given.
        history: requests by interval, oldest first, the current interval last.
    """

    service: str
    route: str
    requests: int
    kept: int
    client_errors: int
    server_errors: int
    percentiles_ms: tuple[float, ...]
    history: tuple[int, ...]


class RecentRoutes:
    """Figures of all routes.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._routes: dict[tuple[str, str], deque[_Interval]] = {}

    @property
    def window_seconds(self) -> float:
        """Seconds that the figures cover: less than five minutes just after the start."""
        now = self._clock()
        oldest_kept = (int(now / INTERVAL_SECONDS) - INTERVALS + 1) * INTERVAL_SECONDS
        return max(now - max(self._started, oldest_kept), 1.0)

    def observe(self, now: float, route_key: tuple[str, str], status: int, duration_ms: float, *, kept: bool) -> None:
        """Count one request that arrived now."""
        number = int(now / INTERVAL_SECONDS)
        intervals = self._routes.get(route_key)
        if intervals is None:
            intervals = self._routes[route_key] = deque(maxlen=INTERVALS)
        if not intervals or intervals[-1].number != number:
            intervals.append(_Interval(number))
        interval = intervals[-1]
        interval.requests += 1
        interval.kept += kept
        if status >= 400:
            if status >= 500:
                interval.server_errors += 1
            else:
                interval.client_errors += 1
        bucket = _BUCKETS.get(duration_ms)
        if bucket is None:
            bucket = _bucket(duration_ms)
        interval.durations[bucket] = interval.durations.get(bucket, 0) + 1

    def figures(self, percentiles: Sequence[float]) -> list[RouteFigures]:
        """Return the figures, busiest route first, without routes that had no request in the window.

        Args:
            percentiles: shares, 0 to 1.
        """
        last = int(self._clock() / INTERVAL_SECONDS)
        windows = {
            route: [interval for interval in intervals if interval.number > last - INTERVALS]
            for route, intervals in self._routes.items()
        }
        found = [_sum(route, intervals, last, percentiles) for route, intervals in windows.items() if intervals]
        return sorted(found, key=lambda one: one.requests, reverse=True)

    def forget(self, route_key: tuple[str, str]) -> None:
        """Remove the figures of a route that is not counted any more."""
        self._routes.pop(route_key, None)


def _bucket(duration_ms: float) -> int:
    return math.floor(math.log(max(duration_ms, _SHORTEST_MS)) * _PER_E)


# Kong counts whole milliseconds and most requests take less than a second, so these logarithms are precomputed.
_BUCKETS: dict[float, int] = {duration_ms: _bucket(duration_ms) for duration_ms in range(1024)}


def _sum(
    route: tuple[str, str], intervals: Sequence[_Interval], last: int, percentiles: Sequence[float]
) -> RouteFigures:
    durations: Counter[int] = Counter()
    for interval in intervals:
        durations.update(interval.durations)
    by_number = {interval.number: interval.requests for interval in intervals}
    return RouteFigures(
        *route,
        requests=sum(by_number.values()),
        kept=sum(interval.kept for interval in intervals),
        client_errors=sum(interval.client_errors for interval in intervals),
        server_errors=sum(interval.server_errors for interval in intervals),
        percentiles_ms=tuple(_percentile(sorted(durations.items()), share) for share in percentiles),
        history=tuple(by_number.get(number, 0) for number in range(last - INTERVALS + 1, last + 1)),
    )


def _percentile(durations: Iterable[tuple[int, int]], share: float) -> float:
    buckets = list(durations)
    rank = math.ceil(share * sum(count for _, count in buckets))
    for bucket, count in buckets:
        rank -= count
        if rank <= 0:
            return math.exp((bucket + 0.5) / _PER_E)
    return 0.0
