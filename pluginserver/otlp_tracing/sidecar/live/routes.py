"""Rate, errors and durations by route over the last minutes, of all requests, kept or not.

A route has a slot for every few seconds in which it had requests; a slot counts durations in buckets that
are 5 % wide, so a percentile is off by 2.5 % at the most. Slots are summed when somebody looks.

Source of the buckets' idea: Masson, Rim, Lee: "DDSketch", VLDB 2019.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["SLOTS", "SLOT_SECONDS", "RecentRoutes", "RouteFigures"]

SLOT_SECONDS = 5
SLOTS = 60  # five minutes
# Some 30 kB for one that has requests in every slot; Kong's own dashboards give up long before that many.
MAX_ROUTES = 500
_OTHER = ("_OTHER", "_OTHER")
_PER_E = 20  # buckets per factor e: each is 5.1 % wide
_SHORTEST_MS = 0.5  # Kong's record counts whole milliseconds


@dataclass(slots=True)
class _Slot:
    """What came within SLOT_SECONDS."""

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
        service: Kong's name of it; empty where there is none.
        route: likewise.
        requests: seen.
        kept: whose traces are exported.
        client_errors: answered 4xx.
        server_errors: answered 5xx.
        percentiles_ms: as asked for.
        history: requests by slot, oldest first, the one that is still being filled last.
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
    """The routes' figures.

    Args:
        clock: seconds that never go back.
        max_routes: bound on routes; those past it are counted together.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_routes: int = MAX_ROUTES) -> None:
        self._clock = clock
        self._started = clock()
        self._max_routes = max_routes
        self._routes: dict[tuple[str, str], deque[_Slot]] = {}

    @property
    def window_seconds(self) -> float:
        """How far back the figures reach: less than five minutes just after the start."""
        now = self._clock()
        oldest_kept = (int(now / SLOT_SECONDS) - SLOTS + 1) * SLOT_SECONDS
        return max(now - max(self._started, oldest_kept), 1.0)

    def note(self, now: float, route: tuple[str, str], status: int, duration_ms: float, *, kept: bool) -> None:
        """Count one request that came now."""
        number = int(now / SLOT_SECONDS)
        slots = self._routes.get(route)
        slot = slots[-1] if slots and slots[-1].number == number else self._new_slot(route, number)
        slot.requests += 1
        slot.kept += kept
        if status >= 400:
            if status >= 500:
                slot.server_errors += 1
            else:
                slot.client_errors += 1
        bucket = _BUCKETS.get(duration_ms)
        if bucket is None:
            bucket = _bucket(duration_ms)
        slot.durations[bucket] = slot.durations.get(bucket, 0) + 1

    def figures(self, percentiles: Sequence[float]) -> list[RouteFigures]:
        """Sum up, busiest route first; a route without a request in the window is left out."""
        last = int(self._clock() / SLOT_SECONDS)
        windows = {
            route: [slot for slot in slots if slot.number > last - SLOTS] for route, slots in self._routes.items()
        }
        found = [_sum(route, slots, last, percentiles) for route, slots in windows.items() if slots]
        return sorted(found, key=lambda one: one.requests, reverse=True)

    def _new_slot(self, route: tuple[str, str], number: int) -> _Slot:
        slots = self._routes.get(route)
        if slots is None:
            if len(self._routes) >= self._max_routes and not self._forget_one(number) and route != _OTHER:
                others = self._routes.get(_OTHER)
                return others[-1] if others and others[-1].number == number else self._new_slot(_OTHER, number)
            slots = self._routes[route] = deque(maxlen=SLOTS)
        slots.append(_Slot(number))
        return slots[-1]

    def _forget_one(self, number: int) -> bool:
        """Make room by a route that has had no request within the window; say whether there was one."""
        for route, slots in self._routes.items():
            if slots[-1].number <= number - SLOTS:
                del self._routes[route]
                return True
        return False


def _bucket(duration_ms: float) -> int:
    return math.floor(math.log(max(duration_ms, _SHORTEST_MS)) * _PER_E)


# Kong counts whole milliseconds, and most requests take less than a second: their logarithms are known.
_BUCKETS: dict[float, int] = {duration_ms: _bucket(duration_ms) for duration_ms in range(1024)}


def _sum(route: tuple[str, str], slots: Sequence[_Slot], last: int, percentiles: Sequence[float]) -> RouteFigures:
    durations: Counter[int] = Counter()
    for slot in slots:
        durations.update(slot.durations)
    by_number = {slot.number: slot.requests for slot in slots}
    return RouteFigures(
        *route,
        requests=sum(by_number.values()),
        kept=sum(slot.kept for slot in slots),
        client_errors=sum(slot.client_errors for slot in slots),
        server_errors=sum(slot.server_errors for slot in slots),
        percentiles_ms=tuple(_percentile(sorted(durations.items()), share) for share in percentiles),
        history=tuple(by_number.get(number, 0) for number in range(last - SLOTS + 1, last + 1)),
    )


def _percentile(durations: Iterable[tuple[int, int]], share: float) -> float:
    buckets = list(durations)
    rank = math.ceil(share * sum(count for _, count in buckets))
    for bucket, count in buckets:
        rank -= count
        if rank <= 0:
            return math.exp((bucket + 0.5) / _PER_E)
    return 0.0
