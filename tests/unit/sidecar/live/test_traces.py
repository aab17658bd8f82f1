"""Promises of sidecar/live/traces.py."""

from __future__ import annotations

from typing import Any

from otlp_tracing.sidecar.live.traces import MAX_KEYS_PER_SECOND, MAX_PER_SECOND, RecentTraces


def add(traces: RecentTraces, number: int, route: str = "r", **fields: Any) -> None:
    values: dict[str, Any] = {"status": 200, "duration_ms": 1.0, "decision": "sampled", "spans": [b"span"], **fields}
    traces.add(number.to_bytes(16, "big"), ("s", route), **values)


def admitted(traces: RecentTraces, now: float, count: int, route: str = "r", *, notable: bool = False) -> int:
    return sum(traces.admit(now, ("s", route), notable=notable) for _ in range(count))


def ids(traces: RecentTraces) -> list[int]:
    return [int.from_bytes(one.trace_id, "big") for one in traces.after(0, 1000)]


def test_the_count_of_traces_is_bounded() -> None:
    """The oldest are evicted."""
    traces = RecentTraces(max_traces=3)
    for number in range(1, 6):
        add(traces, number)

    assert ids(traces) == [3, 4, 5]


def test_the_bytes_of_traces_are_bounded() -> None:
    """The oldest are evicted; a trace over the bound is not kept."""
    traces = RecentTraces(max_bytes=100)
    for number in range(1, 4):
        add(traces, number, spans=[b"x" * 20, b"y" * 20])
    assert ids(traces) == [2, 3]

    add(traces, 4, spans=[b"x" * 101])

    assert ids(traces) == []
    assert traces.bytes_per_span > 0


def test_log_records_count_in_the_bytes_and_not_in_a_span() -> None:
    """Their size evicts traces like that of spans; the mean size of a span is of spans alone."""
    traces = RecentTraces(max_bytes=100)
    add(traces, 1, spans=[b"x" * 20], log_record=b"y" * 60)
    add(traces, 2, spans=[b"x" * 20])
    assert (ids(traces), traces.bytes_per_span) == ([1, 2], 20)

    add(traces, 3, spans=[b"x" * 20])

    assert ids(traces) == [2, 3]


def test_a_busy_route_leaves_room_for_others() -> None:
    """The rate is bounded per route, and separately for notable traces."""
    traces = RecentTraces()

    assert admitted(traces, 7.1, MAX_PER_SECOND + 5) == MAX_PER_SECOND
    assert admitted(traces, 7.2, 1, "rare") == 1
    assert admitted(traces, 7.3, 1, notable=True) == 1
    assert traces.passed_over == 5
    assert admitted(traces, 8.0, 1) == 1


def test_the_routes_of_a_second_are_bounded() -> None:
    """A client that invents routes cannot make the table grow."""
    traces = RecentTraces()

    assert sum(admitted(traces, 7, 1, f"r{number}") for number in range(MAX_KEYS_PER_SECOND + 1)) == MAX_KEYS_PER_SECOND


def test_a_page_gets_newer_traces() -> None:
    """They are oldest first; past the limit it gets the newest."""
    traces = RecentTraces()
    for number in range(1, 6):
        add(traces, number)

    assert [one.number for one in traces.after(2, 10)] == [3, 4, 5]
    assert [one.number for one in traces.after(2, 2)] == [4, 5]
    assert traces.after(traces.last_number, 10) == []


def test_a_trace_may_have_several_requests() -> None:
    """All of them are found by its id."""
    traces = RecentTraces()
    add(traces, 7, "a")
    add(traces, 8)
    add(traces, 7, "b")

    assert [one.route for one in traces.find((7).to_bytes(16, "big"))] == ["a", "b"]
