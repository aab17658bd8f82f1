"""The last kept traces, as the bytes that were handed over for export: what the page shows is what is sent."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence

import msgspec

__all__ = ["RecentTrace", "RecentTraces"]

# Twenty seconds at the most that are let in, hours on a quiet gateway; a page lists no more anyway.
MAX_TRACES = 2_000
# Two spans of the usual size are 1.5 kB: this holds the count above, and a few of the largest there can be.
MAX_BYTES = 8 << 20
_USUAL_BYTES = 750.0
# Nobody reads more, and at thousands of requests a second all of them would push each other out in no time.
# Counted apart for each route, and for what ended badly, so that a rare route is seen beside a busy one.
MAX_PER_SECOND = 20
MAX_KEYS_PER_SECOND = 256


class RecentTrace(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One request whose trace is kept.

    Args:
        number: rises by one with each that is let in.
        trace_id: 16 bytes.
        service: Kong's name of it; empty where there is none.
        route: likewise.
        status: of the response, 0 where the record has none.
        duration_ms: of the whole request.
        outcome: as on otlp_tracing_requests_total: sampled, kept_for_error, …
        spans: of otlp.encode_span, redacted, the SERVER span first.
    """

    number: int
    trace_id: bytes
    service: str
    route: str
    status: int
    duration_ms: float
    outcome: str
    spans: tuple[bytes, ...]

    @property
    def is_error(self) -> bool:
        """The gateway or its upstream failed."""
        return self.status >= 500


class RecentTraces:
    """A ring of them.

    Args:
        max_traces: bound on the count.
        max_bytes: bound on the bytes of their spans.
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
        """Kept and exported, but not let in here: there were too many of their like in one second."""

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def bytes_per_span(self) -> float:
        """The mean of those that are here; of two spans of the usual size where none is."""
        spans = sum(len(trace.spans) for trace in self._ring)
        return self._bytes / spans if spans else _USUAL_BYTES

    def admit(self, now: float, route: tuple[str, str], *, notable: bool) -> bool:
        """Tell whether a trace may be added: of many alike in one second, the first ones may.

        Args:
            now: seconds that never go back.
            route: service and route.
            notable: it failed, or was kept for what it was.
        """
        second = int(now)
        if second != self._second:
            self._second = second
            self._admitted.clear()
        key = *route, notable
        count = self._admitted.get(key, 0)
        if count >= MAX_PER_SECOND or (not count and len(self._admitted) >= MAX_KEYS_PER_SECOND):
            self.passed_over += 1
            return False
        self._admitted[key] = count + 1
        return True

    def add(
        self,
        trace_id: bytes,
        route: tuple[str, str],
        *,
        status: int,
        duration_ms: float,
        outcome: str,
        spans: Sequence[bytes],
    ) -> None:
        """Take a trace over; the oldest go where there are too many, or they are too big."""
        self.last_number += 1
        trace = RecentTrace(self.last_number, trace_id, *route, status, duration_ms, outcome, tuple(spans))
        self._ring.append(trace)
        self._bytes += sum(map(len, spans))
        while len(self._ring) > self._max_traces or self._bytes > self._max_bytes:
            self._bytes -= sum(map(len, self._ring.popleft().spans))

    def after(self, number: int, limit: int) -> list[RecentTrace]:
        """Return those with a higher number, oldest first, of too many the newest."""
        newer = itertools.takewhile(lambda trace: trace.number > number, reversed(self._ring))
        return list(itertools.islice(newer, limit))[::-1]

    def of(self, trace_id: bytes) -> list[RecentTrace]:
        """Return the requests of one trace, oldest first."""
        return [trace for trace in self._ring if trace.trace_id == trace_id]
