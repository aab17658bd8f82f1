"""Facts about the last requests, kept or not: what a set of sampling rules would have to know about them.

Paths and header values are held as the client sent them, in memory alone, and are redacted when a trial looks at
them: most never are, and redaction costs more than all the rest. What comes out of a trial are counts (trial.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

__all__ = ["RecentRequest", "RecentRequests"]

# Ten seconds at 2,000 requests/s, hours on a quiet gateway; some 8 MiB, and half a second to try rules on.
MAX_REQUESTS = 20_000
# A rule on a path does not look further into it than this, and 20,000 paths of 16 kB would be 320 MB.
MAX_PATH = 256


class RecentRequest(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One request.

    Args:
        arrived: seconds of the ring's clock.
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


class RecentRequests:
    """A ring of them."""

    def __init__(self, max_requests: int = MAX_REQUESTS) -> None:
        self._ring: deque[RecentRequest] = deque(maxlen=max_requests)
        self.seen = 0
        self.kept = 0

    def __len__(self) -> int:
        return len(self._ring)

    def add(self, request: RecentRequest) -> None:
        """Take one over; the oldest goes."""
        self._ring.append(request)
        self.seen += 1
        self.kept += request.kept

    def snapshot(self) -> list[RecentRequest]:
        """Return all, oldest first."""
        return list(self._ring)
