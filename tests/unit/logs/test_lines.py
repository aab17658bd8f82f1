"""Promises of logs/lines.py."""

from __future__ import annotations

import logging

import pytest

from otlp_tracing.logs.lines import MAX_TEXT, LogLine, WarningBuffer


def log(buffer: WarningBuffer, name: str = "otlp_tracing.test") -> logging.Logger:
    logger = logging.Logger(name)
    logger.addHandler(buffer)
    return logger


def test_the_last_warnings_are_kept() -> None:
    """Fifty lines are kept, of the level WARNING and above, each with the role of its process."""
    buffer = WarningBuffer()
    buffer.process = "worker 0"
    logger = log(buffer)
    for number in range(60):
        logger.info("information %d", number)
        logger.warning("warning %d", number)

    lines = buffer.take()

    assert [line.text for line in lines] == [f"warning {number}" for number in range(10, 60)]
    assert (lines[0].process, lines[0].level, lines[0].logger) == ("worker 0", "WARNING", "otlp_tracing.test")
    assert buffer.take() == []


def test_lines_that_could_not_be_sent_come_first_again() -> None:
    """They keep their order, and the oldest are dropped where newer lines take their room."""
    buffer = WarningBuffer()
    logger = log(buffer)
    for number in range(50):
        logger.warning("%d", number)
    lines = buffer.take(40)
    logger.warning("new")
    buffer.give_back(lines)

    assert [line.text for line in buffer.take()] == [*map(str, range(1, 50)), "new"]


def test_lines_are_passed_on() -> None:
    """In the sidecar the kept lines and every later one reach its list at once."""
    buffer = WarningBuffer()
    logger = log(buffer)
    received: list[LogLine] = []
    logger.warning("before")
    buffer.pass_on_to(received.append)
    logger.error("after")

    assert [line.text for line in received] == ["before", "after"]


def test_a_library_is_not_quoted() -> None:
    """OpenTelemetry's SDK quotes a header that it cannot parse, which may hold a key."""
    buffer = WarningBuffer()
    log(buffer, "opentelemetry.util.re").warning("Header format invalid: %s", "authorization: Bearer secret")

    (line,) = buffer.take()

    assert "secret" not in line.text
    assert line.logger == "opentelemetry.util.re"


def test_a_long_line_keeps_its_ends() -> None:
    """A traceback is cut in its middle; a lone surrogate, which cannot be encoded, is replaced."""
    buffer = WarningBuffer()
    log(buffer).warning("begin \udc80 %s end", "x" * 5000)

    (line,) = buffer.take()

    assert len(line.text) <= MAX_TEXT
    assert line.text.startswith("begin ? x")
    assert line.text.endswith("x end")


def test_a_line_has_a_bound() -> None:
    """A line of another process is refused above the longest line that a process writes."""
    with pytest.raises(ValueError, match="too long"):
        LogLine(0.0, "sidecar", "WARNING", "a", "x" * (MAX_TEXT + 1))
