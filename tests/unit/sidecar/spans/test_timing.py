"""Promises of sidecar/spans/timing.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.sidecar.ingest.request_record import decode
from otlp_tracing.sidecar.spans.timing import SpanTimes, connection_times, end_ns, span_times
from spans_of import record_of

MS = 1_000_000


def times(**fields: Any) -> SpanTimes:
    record = record_of(**fields)
    found = span_times(record.log, record.tries)
    assert end_ns(record.log, record.tries) == found.end_ns
    return found


def test_children_stay_inside_their_parent() -> None:
    """Kong cuts milliseconds off: a try may seem to begin before its request, or after its end."""
    found = times(tries=[{"balancer_start_ns": 0.9e9}, {"balancer_start_ns": 1.0105e9}])

    assert (found.start_ns, found.end_ns) == (1_000_000_000, 1_010_500_000)
    assert found.tries == [(1_000_000_000, 1_010_500_000), (1_010_500_000, 1_010_500_000)]


def test_the_end_of_a_connection_is_that_of_its_session() -> None:
    """A try of it does not make it longer."""
    record = record_of(session={"status": 200}, latencies={"session": 7}, tries=[{"balancer_start_ns": 9e18}])

    assert end_ns(record.log, record.tries) == connection_times(record.log)[1] == 1_007 * MS


FLOATS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
LATENCIES = st.fixed_dictionaries(dict.fromkeys(("request", "kong", "proxy", "receive"), FLOATS))


@given(FLOATS, LATENCIES, st.lists(st.fixed_dictionaries({"balancer_start_ns": FLOATS | st.integers()})))
def test_no_duration_is_negative(started_at: float | None, latencies: Any, tries: list[Any]) -> None:
    """Whatever the record says, every child begins and ends within its parent."""
    found = times(started_at=started_at, latencies=latencies, tries=tries)

    assert all(found.start_ns <= start <= end <= found.end_ns for start, end in found.tries)
    assert 0 <= found.start_ns <= found.end_ns < 2**64


@pytest.mark.parametrize(
    ("written", "start_ns"),
    [
        ("1.795327875931298e+18", 1_795_327_875_931_298_000),
        ("1.79532787758985e+18", 1_795_327_877_589_850_000),
        ("1.7953326090299e+18", 1_795_332_609_029_900_000),  # Kong 3.4
        ("1795327875931298123", 1_795_327_875_931_298_123),
        ("0", 1_795_327_875_931_000_000),
    ],
)
def test_a_trys_start_is_the_number_that_kong_wrote(written: str, start_ns: int) -> None:
    """Neither digits that a float adds, nor fewer than there are."""
    record = decode(b'{"tries":[{"balancer_start":1795327875931,"balancer_start_ns":%s}]}' % written.encode())

    assert span_times(record.log, record.tries).tries[0][0] == start_ns


@pytest.mark.parametrize(
    ("latencies", "end_ms"),
    [
        ({"kong": 2, "proxy": 3, "receive": 10}, 15),  # the client read slowly; the upstream was done long before
        ({"kong": 2, "proxy": 3, "receive": 0}, 100),  # also the value of a body that was broken off
        ({"kong": 2, "proxy": 3}, 100),  # Kong 3.4
        ({"kong": 2, "proxy": -1, "receive": 10}, 100),
        ({"kong": 90, "proxy": 30, "receive": 10}, 100),
        ({"kong": 0, "proxy": 0, "receive": 1}, 4),
    ],
)
def test_the_last_try_ends_with_the_upstreams_answer(latencies: dict[str, int], end_ms: int) -> None:
    """Where Kong says when that was; else with the request, and never before its own start."""
    found = times(latencies={"request": 100, **latencies}, tries=[{"balancer_start_ns": 1_004_000_000}])

    assert found.tries[0][1] == found.start_ns + end_ms * MS
