"""Promises of sidecar/telemetry/recent_warnings.py."""

from __future__ import annotations

from otlp_tracing.logs.lines import LogLine
from otlp_tracing.sidecar.telemetry.recent_warnings import MAX_LINES, RecentWarnings


def line(text: str, at: float = 0.0, process: str = "worker 0") -> LogLine:
    return LogLine(at, process, "WARNING", "otlp_tracing.test", text)


def test_the_list_has_a_bound() -> None:
    """The oldest lines are dropped and counted."""
    recent = RecentWarnings()
    for number in range(MAX_LINES + 5):
        recent.add(line(str(number)))

    found = recent.as_json()

    assert [one["text"] for one in found["lines"]] == [str(number) for number in range(5, MAX_LINES + 5)]
    assert found["omitted"] == 5
    assert [one["text"] for one in recent.last(2)] == [str(MAX_LINES + 3), str(MAX_LINES + 4)]


def test_a_repeated_line_is_one_line() -> None:
    """One warning in ten seconds, for hours, does not push the others out; it is counted, for each process."""
    recent = RecentWarnings(lambda: 100.0)
    recent.add(line("collector away", 10.0))
    recent.add(line("another", 20.0))
    recent.add(line("collector away (and 99 more like it before)", 90.0))
    recent.add(line("collector away", 95.0, "worker 1"))

    assert [(one["process"], one["text"], one["count"], one["age_s"], one["at"]) for one in recent.last()] == [
        ("worker 0", "another", 1, 80.0, "1970-01-01T00:00:20.000+00:00"),
        ("worker 0", "collector away (and 99 more like it before)", 2, 10.0, "1970-01-01T00:01:30.000+00:00"),
        ("worker 1", "collector away", 1, 5.0, "1970-01-01T00:01:35.000+00:00"),
    ]
