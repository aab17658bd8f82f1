"""Promises of limited_log.py."""

from __future__ import annotations

import logging

import pytest

from doubles import ManualClock
from otlp_tracing.log_limit import LimitedLibrary, LimitedLog


def test_a_thousand_occurrences_are_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    """The first is said at once, the others as a number when the next is due."""
    clock = ManualClock()
    log = LimitedLog(logging.getLogger("test"), clock)
    for number in range(1000):
        log.warning("occurrence %d", number)
    clock.now += 10
    log.warning("occurrence %d", 1000)

    assert [record.getMessage() for record in caplog.records] == [
        "occurrence 0",
        "occurrence 1000 (and 999 more like it before)",
    ]


def test_an_exception_is_told_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    """The kind and the place are logged; its message can have a client's words in it."""
    log = LimitedLog(logging.getLogger("test"))
    try:
        int("".join(["hunter", "2"]))
    except ValueError:
        log.warning("%s failed", "access", exc_info=True)

    (record,) = caplog.records
    assert record.getMessage().startswith("access failed\n  File ")
    assert record.getMessage().endswith("ValueError")
    assert "hunter2" not in caplog.text


def test_a_thousand_warnings_of_a_library_are_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever they say, and without the messages of their exceptions; what is below a warning is not limited."""
    clock = ManualClock()
    logger, limit = logging.getLogger("test.library"), LimitedLibrary(clock)
    logger.addFilter(limit)
    try:
        with caplog.at_level(logging.INFO):
            for number in range(1000):
                logger.error("request %d", number, exc_info=ValueError("hunter2"))
            logger.info("information")
            clock.now += 10
            logger.warning("request %d", 1000)
    finally:
        logger.removeFilter(limit)

    assert caplog.messages == ["request 0\nValueError", "information", "request 1000 (and 999 more like it before)"]
    assert "hunter2" not in caplog.text
