"""Selects the requests that the live page remembers, so that their number a second is bounded."""

from __future__ import annotations

from typing import Final


class RateLimiter:
    """Selects one request in n; n follows from the rate of the second before.

    Args:
        max_per_second: selected.
    """

    __slots__ = ("_max_per_second", "_one_in", "_pending", "_second", "_seen")

    def __init__(self, max_per_second: int) -> None:
        self._max_per_second: Final = max_per_second
        self._one_in = 1
        self._pending = self._second = self._seen = 0

    def weight(self, now: float) -> int:
        """Count one request; return the number that it represents, 0 if it is not selected."""
        second = int(now)
        if second != self._second:
            self._one_in = max(1, -(-self._seen // self._max_per_second)) if second == self._second + 1 else 1
            self._second, self._seen = second, 0
        self._seen += 1
        if self._seen > self._one_in * self._max_per_second:
            # The load has risen since the second before.
            self._one_in += 1
        self._pending += 1
        if self._pending < self._one_in:
            return 0
        weight, self._pending = self._pending, 0
        return weight
