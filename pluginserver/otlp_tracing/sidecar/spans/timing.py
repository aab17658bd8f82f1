"""When a request and its tries began and ended, in nanoseconds; children always inside their parent.

Kong gives the request's times in whole milliseconds, cut off, and a try's start in nanoseconds, as a
floating-point number that lost its last digits. A try ends where the next one begins; the last one when
the upstream's answer was through, as far as Kong says, else with the request.

Source: kong/init.lua of Kong 3.9.1: `kong` runs from the request's start until the balancer was done,
`proxy` from there until the first byte, `receive` from there until the last byte of the body; all three
are differences of one clock, so their sum is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from otlp_tracing.sidecar.ingest.log_record import Latencies, LogRecord, Try

__all__ = ["SpanTimes", "span_times"]

_MS = 1_000_000
_US = 1_000
_LATEST_MS = (1 << 62) // _MS  # the year 2116, far from what OTLP can hold: a record can say anything


@dataclass(slots=True, init=False)
class SpanTimes:
    """Nanoseconds since 1970.

    Args:
        start_ns: the request's.
        end_ns: likewise.
        tries: start and end of each, in order.
    """

    start_ns: Final[int]
    end_ns: Final[int]
    tries: Final[tuple[tuple[int, int], ...]]

    # Written out, since there is one a request: compiled, a dataclass's own would stay Python.
    def __init__(self, start_ns: int, end_ns: int, tries: tuple[tuple[int, int], ...]) -> None:
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.tries = tries


def span_times(record: LogRecord, tries: list[Try]) -> SpanTimes:
    """Work the times of a request out."""
    start_ns = _ns(record.started_at)
    starts = [max(_try_start_ns(attempt), start_ns) for attempt in tries]
    # Milliseconds are cut off, not rounded: a try that began later than the request ended by them did not.
    end_ns = max([start_ns + _ns(record.latencies.request), *starts])
    last_end_ns = min(start_ns + _received_ns(record.latencies, end_ns - start_ns), end_ns)
    ends = [*starts[1:], last_end_ns]
    # A clock that was set back must not make a try end before it began.
    return SpanTimes(
        start_ns, end_ns, tuple((start, max(start, end)) for start, end in zip(starts, ends, strict=False))
    )


def _received_ns(latencies: Latencies, unless_known_ns: int) -> int:
    # Without `receive` (Kong 3.4), or with 0, which also stands for a body that never ended, nothing is known.
    parts = (latencies.kong, latencies.proxy, latencies.receive)
    if latencies.receive and all(part is not None and part >= 0 for part in parts):
        return sum(_ns(part) for part in parts)
    return unless_known_ns


def _try_start_ns(attempt: Try) -> int:
    start = attempt.balancer_start_ns
    if not start:
        return _ns(attempt.balancer_start)
    if not 0 < start < _LATEST_MS * _MS:
        return 0
    # Kong writes 16 digits (3.4: 14), a float adds noise below them: the microsecond is what was written.
    return start if isinstance(start, int) else (int(start) + _US // 2) // _US * _US


def _ns(milliseconds: float | None) -> int:
    return int(min(max(milliseconds or 0, 0), _LATEST_MS) * _MS)
