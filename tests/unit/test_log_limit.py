"""Promises of limited_log.py."""

from __future__ import annotations

import logging

import pytest

from doubles import ManualClock
from otlp_tracing.log_limit import LimitedLog


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
