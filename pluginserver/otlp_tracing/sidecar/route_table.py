"""The routes that metrics, reports and the live page name, within one bound."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

RouteKey = tuple[str, str]
"""Kong's names of service and route; empty where there is none."""

NO_ROUTE: RouteKey = ("", "")

OTHER: RouteKey = ("_OTHER", "_OTHER")
"""Stands for all routes past the bound."""

# Up to eleven series each on /metrics (a megabyte in all) and 30 kB on the page: far more than a dashboard shows.
MAX_ROUTES = 500
_IDLE_SECONDS = 600.0  # twice the window of the page
_PRECISION_SECONDS = 1.0  # a busy route is noted once a second


class RouteTable:
    """Interns the routes of requests. A new route past the bound takes the place of one that is long idle.

    Args:
        on_refused: is called for each request that is counted under OTHER.
        clock: monotonic seconds.
        max_routes: the bound.
    """

    def __init__(
        self,
        on_refused: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        max_routes: int = MAX_ROUTES,
    ) -> None:
        self._on_refused = on_refused
        self._clock = clock
        self._max_routes = max_routes
        self._seen_at: OrderedDict[RouteKey, float] = OrderedDict()
        self._on_evicted: list[Callable[[RouteKey], None]] = []

    def on_evicted(self, forget: Callable[[RouteKey], None]) -> None:
        """Have `forget` called with each route that is evicted."""
        self._on_evicted.append(forget)

    def key(self, service: str, route: str) -> RouteKey:
        """Return the key of a request's route; OTHER if there is no room for it."""
        key, now = (service, route), self._clock()
        seen_at = self._seen_at.get(key)
        if seen_at is not None and now - seen_at < _PRECISION_SECONDS:
            return key
        if seen_at is None and len(self._seen_at) >= self._max_routes and not self._evict(now):
            self._on_refused()
            return OTHER
        self._seen_at[key] = now
        self._seen_at.move_to_end(key)
        return key

    def _evict(self, now: float) -> bool:
        oldest, seen_at = next(iter(self._seen_at.items()))
        if seen_at > now - _IDLE_SECONDS:
            return False
        del self._seen_at[oldest]
        for forget in self._on_evicted:
            forget(oldest)
        return True
