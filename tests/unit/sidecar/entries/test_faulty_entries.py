"""Promises of sidecar/entries/faulty_entries.py."""

from __future__ import annotations

from doubles import ManualClock
from otlp_tracing.sidecar.entries.faulty_entries import FaultyEntries, FaultyEntry


def test_an_entry_is_reported_with_the_age_of_its_fault() -> None:
    """The same fault again does not make it younger; another one does."""
    clock = ManualClock()
    faulty = FaultyEntries(clock)
    ages = []
    for fault in ("a", "a", "b"):
        faulty.add(FaultyEntry("p", ("", ""), [fault]))
        clock.now += 5
        ages += [one["since_s"] for one in faulty.report()]

    assert ages == [5, 10, 5]


def test_the_report_is_bounded() -> None:
    """The oldest entries, further faults, and the ends of long texts are left out."""
    faulty = FaultyEntries(ManualClock())
    for number in range(101):
        faulty.add(FaultyEntry(str(number), (str(number), "s" * 100), ["x" * 2000] * 20))
    report = faulty.report()

    assert [report[0]["entry"], report[-1]["entry"], len(report)] == ["1", "100", 100]
    assert report[0]["faults"] == ["x" * 1000] * 10
    assert report[0]["service"] == "s" * 64
