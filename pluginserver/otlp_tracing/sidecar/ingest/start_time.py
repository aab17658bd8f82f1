"""The start of a request whose record has none that can be used: another plugin can set any field of the record.

Without this, the spans of such a request begin in 1970: searches of recent traces miss them, and backends delete them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.sidecar.ingest.request_record import RequestRecord

_log: Final = LimitedLog(logging.getLogger("otlp_tracing.sidecar.ingest.start_time"))

_EARLIEST_MS: Final = 1e11  # the year 1973; a time in seconds is below it for ten thousand years
_LATEST_MS: Final = 4.6e12  # the year 2115; OTLP's nanoseconds end in 2554


def with_start_time(record: RequestRecord, now_ms: float, on_ignored: Callable[[str], None]) -> RequestRecord:
    """Return a record whose `started_at` is a time; where it was none, the arrival of the record minus its duration.

    Args:
        record: as decoded.
        now_ms: milliseconds since 1970.
        on_ignored: is called with the field's name, if it has another number; decode() has counted another type.
    """
    started_at = record.outline.started_at
    if started_at is not None and _EARLIEST_MS < started_at < _LATEST_MS:
        return record
    _log.warning("log record field ignored: started_at is %s, spans begin at the arrival of the record", started_at)
    if started_at is not None:
        on_ignored("started_at")
    return record.with_start(int(now_ms - record.duration_ms))
