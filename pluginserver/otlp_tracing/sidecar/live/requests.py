"""Facts about the last requests, kept or not: what a set of sampling rules would have to know about them.

Where more come than are written down in a second, one of every so many is, and stands for as many: so the ring
reaches minutes back at any rate, and costs a busy sidecar next to nothing. Failed requests are few and count for
more: they are chosen apart from the others.

Paths and header values are held as the client sent them, in memory alone, and are redacted when a trial looks at
them: most never are, and redaction costs more than all the rest. What comes out of a trial are counts (trial.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

__all__ = ["RecentRequest", "RecentRequests"]

# Three minutes at any rate, by the next bound; some 8 MiB, and half a second to try rules on.
MAX_REQUESTS = 20_000
# Of failed requests and of the others each; of a sample of so many, a share is good to a few per cent in a minute.
MAX_PER_SECOND = 100
# A rule on a path does not look further into it than this, and 20,000 paths of 16 kB would be 320 MB.
MAX_PATH = 256


class RecentRequest(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One request.

    Args:
        arrived: seconds of the ring's clock.
        weight: how many requests it stands for.
        service: Kong's name of it; empty where there is none.
        route: likewise.
        method: as sent.
        path: as sent, without the query, its first MAX_PATH characters.
        host: as sent, with a port where there was one.
        headers: those that the configuration's own rules ask for, as lines by lower-case name.
        status: of the response, 0 where the record has none.
        duration_ms: of the whole request.
        tries: of the balancer.
        has_failed_try: one of them was followed by another or failed.
        trace_id: 16 bytes.
        randomness: the tracestate's `rv`, None where it has none.
        has_caller: it continues a caller's trace.
        caller_sampled: what the caller decided, None where the rules in force did not follow it.
        kept: its trace is exported.
        redact: what path and header lines go through before anything is matched with them.
    """

    arrived: float
    weight: int
    service: str
    route: str
    method: str
    path: str
    host: str
    headers: Mapping[str, list[str]]
    status: int
    duration_ms: float
    tries: int
    has_failed_try: bool
    trace_id: bytes
    randomness: str | None
    has_caller: bool
    caller_sampled: bool | None
    kept: bool
    redact: Callable[[str], str]


class _Choice:
    """Chooses one of every so many, as many as the second before had too many; it stands for those passed over."""

    __slots__ = ("_one_of", "_passed", "_second", "_seen")

    def __init__(self) -> None:
        self._one_of = 1
        self._passed = self._second = self._seen = 0

    def weight(self, now: float) -> int:
        """Count one more; return for how many it stands, 0 where a later one does for it."""
        second = int(now)
        if second != self._second:
            self._one_of = max(1, -(-self._seen // MAX_PER_SECOND)) if second == self._second + 1 else 1
            self._second, self._seen = second, 0
        self._seen += 1
        if self._seen > self._one_of * MAX_PER_SECOND:
            # More than the second before told: a load that begins all at once.
            self._one_of += 1
        self._passed += 1
        if self._passed < self._one_of:
            return 0
        weight, self._passed = self._passed, 0
        return weight


class RecentRequests:
    """A ring of them."""

    def __init__(self, max_requests: int = MAX_REQUESTS) -> None:
        self._ring: deque[RecentRequest] = deque(maxlen=max_requests)
        self._failed = _Choice()
        self._others = _Choice()
        self.seen = 0
        self.kept = 0

    def __len__(self) -> int:
        return len(self._ring)

    def weight(self, now: float, *, failed: bool, kept: bool) -> int:
        """Count a request; return for how many it stands, 0 where it need not be added.

        Args:
            now: seconds of the ring's clock.
            failed: it ended with a 5xx.
            kept: its trace is exported.
        """
        self.seen += 1
        self.kept += kept
        return (self._failed if failed else self._others).weight(now)

    def add(self, request: RecentRequest) -> None:
        """Take one over; the oldest goes."""
        self._ring.append(request)

    def snapshot(self) -> list[RecentRequest]:
        """Return all, oldest first."""
        return list(self._ring)
