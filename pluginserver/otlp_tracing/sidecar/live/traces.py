"""Recent kept traces and their log records, as the bytes handed over for export: the page shows just these."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence

import msgspec

# Twenty seconds at the highest admitted rate, hours on a quiet gateway; a page lists no more anyway.
MAX_TRACES = 2_000
# Two spans of the usual size are 1.5 kB: this holds MAX_TRACES of them, or a few of the largest possible.
MAX_BYTES = 8 << 20
_USUAL_BYTES = 750.0
# A person reads no more, and thousands a second would evict each other at once. Counted per route, and separately
# for notable traces, so that a rare route is seen beside a busy one.
MAX_PER_SECOND = 20
MAX_KEYS_PER_SECOND = 256


class RecentTrace(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One request with a kept trace.

    Args:
        number: rises by one with each trace.
        trace_id: 16 bytes.
        service: name of Kong's service; empty without one.
        route: name of Kong's route; empty without one.
        status: of the response, 0 if the record has no status.
        duration_ms: of the whole request.
        decision: as on otlp_tracing_requests_total: rate, parent, error, …
        spans: encoded and redacted, the SERVER span first.
        log_record: of the request, likewise; empty if it is not logged.
    """

    number: int
    trace_id: bytes
    service: str
    route: str
    status: int
    duration_ms: float
    decision: str
    spans: tuple[bytes, ...]
    log_record: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of its spans and of its log record."""
        return sum(map(len, self.spans)) + len(self.log_record)

    @property
    def is_error(self) -> bool:
        """The gateway or its upstream failed."""
        return self.status >= 500


class RecentTraces:
    """A ring of recent traces.

    Args:
        max_traces: bound on the count.
        max_bytes: bound on the bytes of their spans and log records.
    """

    def __init__(self, max_traces: int = MAX_TRACES, max_bytes: int = MAX_BYTES) -> None:
        self._max_traces = max_traces
        self._max_bytes = max_bytes
        self._ring: deque[RecentTrace] = deque()
        self._bytes = 0
        self._second = 0
        self._admitted: dict[tuple[str, str, bool], int] = {}
        self.last_number = 0
        self.passed_over = 0
        """Traces kept and exported, but not admitted here: their route had too many in one second."""

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def bytes_per_span(self) -> float:
        """Mean size of the spans in the ring; 750 for an empty ring."""
        sizes = [len(span) for trace in self._ring for span in trace.spans]
        return sum(sizes) / len(sizes) if sizes else _USUAL_BYTES

    def admit(self, now: float, route_key: tuple[str, str], *, notable: bool) -> bool:
        """Return whether a trace may be added: the first MAX_PER_SECOND of a route in each second.

        Args:
            now: monotonic seconds.
            route_key: names of service and route.
            notable: it failed, or the tail decision kept it.
        """
        second = int(now)
        if second != self._second:
            self._second = second
            self._admitted.clear()
        key = *route_key, notable
        count = self._admitted.get(key, 0)
        if count >= MAX_PER_SECOND or (not count and len(self._admitted) >= MAX_KEYS_PER_SECOND):
            self.passed_over += 1
            return False
        self._admitted[key] = count + 1
        return True

    def add(
        self,
        trace_id: bytes,
        route_key: tuple[str, str],
        *,
        status: int,
        duration_ms: float,
        decision: str,
        spans: Sequence[bytes],
        log_record: bytes = b"",
    ) -> None:
        """Add a trace; evict the oldest while the ring exceeds its bounds on count or bytes."""
        self.last_number += 1
        trace = RecentTrace(
            self.last_number, trace_id, *route_key, status, duration_ms, decision, tuple(spans), log_record
        )
        self._ring.append(trace)
        self._bytes += trace.size
        while len(self._ring) > self._max_traces or self._bytes > self._max_bytes:
            self._bytes -= self._ring.popleft().size

    def after(self, number: int, limit: int) -> list[RecentTrace]:
        """Return the traces with a higher number, oldest first; if there are more than limit, the newest."""
        newer = itertools.takewhile(lambda trace: trace.number > number, reversed(self._ring))
        return list(itertools.islice(newer, limit))[::-1]

    def find(self, trace_id: bytes) -> list[RecentTrace]:
        """Return the requests of one trace, oldest first."""
        return [trace for trace in self._ring if trace.trace_id == trace_id]
