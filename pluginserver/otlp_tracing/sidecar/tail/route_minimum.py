"""Which routes have not been seen for a minute, so that a budget does not make them disappear. Pure."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["RareRoutes"]

_SECONDS = 60.0
# As many as a large gateway has, a megabyte. Past it what is new is not kept for being rare, which also bounds
# what is kept that way.
MAX_ROUTES = 4096

Route = tuple[bytes, str]


class RareRoutes:
    """Remembers when a trace of each route was kept last."""

    def __init__(self, max_routes: int = MAX_ROUTES) -> None:
        self._max_routes = max_routes
        self._kept_at: OrderedDict[Route, float] = OrderedDict()

    def kept(self, entry: bytes, route: str, now: float) -> None:
        """Remember that a trace is kept.

        Args:
            entry: key of the plugin entry.
            route: its id, empty where none matched.
            now: monotonic seconds.
        """
        self._forget(now)
        if (entry, route) in self._kept_at or len(self._kept_at) < self._max_routes:
            self._kept_at[entry, route] = now
            self._kept_at.move_to_end((entry, route))

    def is_rare(self, entry: bytes, route: str, now: float) -> bool:
        """Tell whether a route has had no trace for a minute."""
        self._forget(now)
        return (entry, route) not in self._kept_at and len(self._kept_at) < self._max_routes

    def _forget(self, now: float) -> None:
        while self._kept_at and next(iter(self._kept_at.values())) <= now - _SECONDS:
            self._kept_at.popitem(last=False)
