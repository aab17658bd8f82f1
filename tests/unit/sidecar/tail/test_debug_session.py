"""Promises of sidecar/tail/debug_session.py; tests/unit/sidecar/tail/test_policy_file.py has its begin and end."""

from __future__ import annotations

import json

from doubles import ManualClock
from otlp_tracing.handoff.frames import Debug
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink
from otlp_tracing.sidecar.tail.debug_session import DebugSession


def test_its_state_is_for_a_person() -> None:
    """Sender, conditions, age, and the rest of time and number; it is over after its time."""
    clock = ManualClock()
    debug = Debug(b'{"consumers": ["gold"], "statuses": [5]}', 60, 10, "jane" + "e" * 100)
    session = DebugSession(debug, WorkerLink(b"person00", lambda _: None), clock)
    session.kept = 3
    clock.now += 20

    assert session.report() == {
        "sender": ("jane" + "e" * 100)[:64],
        "match": {"consumers": ["gold"], "statuses": [5]},
        "age_s": 20.0,
        "left_s": 40.0,
        "kept": 3,
        "left_requests": 7,
    }
    assert not session.is_over
    clock.now += 40
    assert session.is_over


def test_the_value_of_a_secret_header_is_not_shown() -> None:
    """A reader of the page must not see a key."""
    match = {"headers": ["authorization: Bearer s3cret", "X-Api-Key: s3cret", "x-plan: gold"], "paths": None}
    debug = Debug(json.dumps(match).encode(), 60, 10)
    session = DebugSession(debug, WorkerLink(b"person00", lambda _: None), ManualClock())

    shown = session.report()["match"]
    assert shown == {"headers": ["authorization: [REDACTED]", "X-Api-Key: [REDACTED]", "x-plan: gold"]}
