"""When a request and its tries began and ended, in nanoseconds; children always inside their parent.

Kong gives the request's times in whole milliseconds, truncated, and a try's start in nanoseconds, as a floating-point
number that lost its last digits. A try ends where the next one begins. The last one ends when the upstream's answer
was complete, as far as Kong says; otherwise with the request.

Source: kong/init.lua of Kong 3.9.1: `kong` lasts from the request's start until the balancer was done, `proxy` from
there until the first byte, `receive` from there until the last byte of the body. All three are differences of one
clock, so their sum is exact.
"""

from __future__ import annotations

from typing import Final

from otlp_tracing.sidecar.ingest.log_record import LogRecord, Try

_MS: Final = 1_000_000
_US: Final = 1_000
# The year 2116, far below the maximum of OTLP: a record can contain any number. Compiled, a larger one is an object.
_LATEST_NS: Final = (1 << 62) - 1


class SpanTimes:
    """Nanoseconds since 1970.

    Args:
        start_ns: of the request.
        end_ns: of the request.
        tries: start and end of each, in order.
    """

    __slots__ = ("end_ns", "start_ns", "tries")

    def __init__(self, start_ns: int, end_ns: int, tries: list[tuple[int, int]]) -> None:
        self.start_ns: Final = start_ns
        self.end_ns: Final = end_ns
        self.tries: Final = tries


def span_times(log: LogRecord, tries: list[Try]) -> SpanTimes:
    """Return the times of a request and of its tries."""
    latencies = log.latencies
    kong, proxy, receive = latencies.kong, latencies.proxy, latencies.receive
    start_ns = end_ns = _ns(log.started_at)
    end_ns += _ns(latencies.request)
    starts = []
    for attempt in tries:
        begun_ns = max(_try_start_ns(attempt), start_ns)
        starts.append(begun_ns)
        # Milliseconds are truncated, not rounded: the last try can begin after the end that they give.
        end_ns = max(end_ns, begun_ns)
    # Without `receive` (Kong before 3.8), or with 0, which can also mean that the body never ended, it is not known.
    last_end_ns = end_ns
    if receive and receive > 0 and kong is not None and kong >= 0 and proxy is not None and proxy >= 0:
        last_end_ns = min(start_ns + _ns(kong + proxy + receive), end_ns)
    times = []
    for number, begun_ns in enumerate(starts):
        ended_ns = starts[number + 1] if number + 1 < len(starts) else last_end_ns
        # A clock that was set back must not make a try end before it began.
        times.append((begun_ns, max(begun_ns, ended_ns)))
    return SpanTimes(start_ns, end_ns, times)


def end_ns(log: LogRecord, tries: list[Try]) -> int:
    """Return the end of a request, or of a connection, alone."""
    if log.session is not None:
        return connection_times(log)[1]
    latest_ns = _ns(log.started_at) + _ns(log.latencies.request)
    for attempt in tries:
        latest_ns = max(latest_ns, _try_start_ns(attempt))
    return latest_ns


def _try_start_ns(attempt: Try) -> int:
    start = attempt.balancer_start_ns
    if not start:
        return _ns(attempt.balancer_start)
    # Kong writes 16 digits (before 3.6: 14) and a float adds noise below them: so round to the microsecond.
    start_ns = start if isinstance(start, int) else (int(start) + _US // 2) // _US * _US
    return start_ns if 0 < start_ns < _LATEST_NS else 0


def _ns(milliseconds: float | None) -> int:
    if isinstance(milliseconds, int):  # as Kong writes it; compiled, a number of either type takes three times as long
        nanoseconds = milliseconds * _MS
    else:
        nanoseconds = int(milliseconds * _MS) if milliseconds else 0
    if nanoseconds < 0:
        return 0
    return nanoseconds if nanoseconds < _LATEST_NS else _LATEST_NS


def connection_times(log: LogRecord) -> tuple[int, int]:
    """Return start and end of a connection of the stream subsystem."""
    start_ns = _ns(log.started_at)
    return start_ns, start_ns + _ns(log.latencies.session)
