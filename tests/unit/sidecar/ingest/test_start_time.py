"""Promises of sidecar/ingest/start_time.py."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.ingest.start_time import with_start_time
from spans_of import record_of

NOW_MS = 1_795_000_000_000.5


@pytest.mark.parametrize("started_at", [None, 0, -1, 1, 1_795_000_000, 1e18])
def test_a_start_that_is_no_time_is_the_arrival_minus_the_duration(started_at: float | None) -> None:
    """A missing one, a time in seconds, and a time in nanoseconds are those that other plugins write."""
    record = record_of(started_at=started_at, latencies={"request": 250})
    ignored: list[str] = []

    assert with_start_time(record, NOW_MS, ignored.append).log.started_at == 1_794_999_999_750
    assert ignored == (["started_at"] if started_at is not None else [])


def test_without_a_duration_it_is_the_arrival() -> None:
    """Kong writes -1 where it does not know."""
    record = record_of(started_at=None, latencies={"request": -1})

    assert with_start_time(record, NOW_MS, print).log.started_at == 1_795_000_000_000


def test_kongs_own_time_is_kept() -> None:
    """However late the record comes: a hand-over may repeat it after minutes."""
    record = record_of(started_at=1_700_000_000_123)

    assert with_start_time(record, NOW_MS, print) is record
