"""Facts about recent requests, kept or not: the input of a what-if run of sampling rules.

If a second has more requests than the bound, one in n is recorded and carries the weight of n. So the ring covers
minutes at any rate, at little cost. Failed requests are few and matter more, so they are sampled separately.

Paths, header values and names of consumers are held as they came, in memory only. They are redacted when a what-if run
reads them: most are never read, and redaction costs more than all the rest. A what-if run returns counts (what_if.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from otlp_tracing.sidecar.live.rate_limiter import RateLimiter

# Three minutes at any rate, by the next bound; some 8 MiB, and half a second to try rules on.
MAX_REQUESTS = 20_000
# Failed and other requests each; a share estimated from a minute of such a sample is good to a few per cent.
MAX_PER_SECOND = 100
# Path rules are matched against this many characters; 20,000 paths of 16 kB would be 320 MB.
MAX_PATH = 256


class RecentRequest(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One request.

    Args:
        arrived: seconds on the ring's clock.
        weight: number of requests that it represents.
        service: name of Kong's service; empty without one.
        route: name of Kong's route; empty without one.
        method: as sent.
        path: as sent, without the query, its first MAX_PATH characters.
        host: as sent, with the port if there was one.
        headers: lines of the headers that the configured rules match, by lower-case name.
        status: of the response, 0 if the record has no status.
        duration_ms: of the whole request.
        tries: of the balancer.
        has_failed_try: one of the tries failed or was followed by another.
        consumer: names of Kong's consumer, as it wrote them.
        tags: of its route, service and consumer.
        request_bytes: head and body.
        response_bytes: likewise.
        grpc_status: name of the gRPC status; None without one.
        trace_id: 16 bytes.
        randomness: the tracestate's `rv`; None without one.
        has_caller: the request continues a caller's trace.
        caller_sampled: the caller's decision; None if the active rules did not follow it.
        kept: its trace is exported.
        redact: applied to path, header lines and names of consumers before a rule is matched.
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
    consumer: tuple[str, ...]
    tags: tuple[str, ...]
    request_bytes: float
    response_bytes: float
    grpc_status: str | None
    trace_id: bytes
    randomness: str | None
    has_caller: bool
    caller_sampled: bool | None
    kept: bool
    redact: Callable[[str], str]


class RecentRequests:
    """A ring of recent requests."""

    def __init__(self) -> None:
        self._ring: deque[RecentRequest] = deque(maxlen=MAX_REQUESTS)
        self._failed = RateLimiter(MAX_PER_SECOND)
        self._others = RateLimiter(MAX_PER_SECOND)
        self.seen = 0
        self.kept = 0

    def __len__(self) -> int:
        return len(self._ring)

    def weight(self, now: float, *, failed: bool, kept: bool) -> int:
        """Count a request; return the number of requests that it represents, 0 if it need not be added.

        Args:
            now: seconds on the ring's clock.
            failed: it ended with a 5xx.
            kept: its trace is exported.
        """
        self.seen += 1
        self.kept += kept
        return (self._failed if failed else self._others).weight(now)

    def add(self, request: RecentRequest) -> None:
        """Add a request; a full ring evicts the oldest."""
        self._ring.append(request)

    def snapshot(self) -> list[RecentRequest]:
        """Return all requests, oldest first."""
        return list(self._ring)
