"""Promises of sidecar/live/recorder.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from doubles import ManualClock
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.live.requests import MAX_PATH, RecentRequest
from otlp_tracing.sidecar.live.what_if import WhatIfRedaction
from spans_of import CONTEXT, ENTRY_KEY, outcome_of

NOT_SAMPLED = replace(CONTEXT, flags=2)


def new_recorder(*headers: str) -> Recorder:
    recorder = Recorder(ManualClock())
    recorder.configure(ENTRY_KEY, WhatIfRedaction(headers, str))
    return recorder


def recorded(**fields: Any) -> RecentRequest:
    recorder = new_recorder("x-tier")
    recorder.observe(outcome_of(spans=[b"x"], **fields))
    (request,) = recorder.requests.snapshot()
    return request


def test_a_request_is_recorded_in_every_ring() -> None:
    """A kept one is a trace too; any other is only counted."""
    recorder = new_recorder()
    recorder.observe(outcome_of(spans=[b"one", b"two"]))
    recorder.observe(outcome_of(NOT_SAMPLED))

    (trace,) = recorder.traces.after(0, 10)
    (route,) = recorder.routes.figures([0.5])
    assert (trace.service, trace.route, trace.spans) == ("users", "all", (b"one", b"two"))
    assert (route.requests, route.kept) == (2, 1)
    assert (recorder.requests.seen, recorder.requests.kept) == (2, 1)


def test_a_trace_has_its_log_record() -> None:
    """As it is exported."""
    recorder = new_recorder()
    recorder.observe(outcome_of(spans=[b"one"], log_record=b"log"))

    assert [one.log_record for one in recorder.traces.after(0, 10)] == [b"log"]


def test_a_connection_is_shown_and_not_tried_on() -> None:
    """It has a trace and counts for its route; rules for requests have nothing to match."""
    recorder = new_recorder()
    recorder.observe(outcome_of(spans=[b"one"], session={"status": 502}, latencies={"session": 1500}))

    (trace,) = recorder.traces.after(0, 10)
    assert (trace.status, trace.duration_ms, recorder.requests.seen) == (502, 1500, 0)


def test_recorded_facts_are_those_of_rules() -> None:
    """They are method, path without query, host, and the named headers."""
    request = recorded(
        request={"uri": "/a/b?token=1", "headers": {"host": "gw:8000", "x-tier": "gold", "authorization": "secret"}}
    )

    assert (request.method, request.path, request.host) == ("GET", "/a/b", "gw:8000")
    assert request.headers == {"x-tier": ["gold"]}


def test_a_path_is_cut() -> None:
    """A client cannot choose the memory that its path takes."""
    assert len(recorded(request={"uri": "/" + "x" * 9000}).path) == MAX_PATH


def test_missing_values_of_a_record_have_defaults() -> None:
    """An empty Lua table is no try, and a negative duration is 0."""
    assert recorded(tries={}).tries == 0
    assert recorded(latencies={"request": -1}).duration_ms == 0


def test_a_followed_decision_of_the_caller_is_recorded() -> None:
    """Otherwise only the presence of a caller is recorded."""
    recorder = new_recorder()
    recorder.observe(outcome_of(replace(CONTEXT, decided_by="parent"), spans=[b"x"]))
    recorder.observe(outcome_of(replace(CONTEXT, decided_by="rate", trace_state="ot=rv:00000000000001")))

    followed, decided = recorder.requests.snapshot()
    assert (followed.has_caller, followed.caller_sampled, followed.randomness) == (True, True, None)
    assert (decided.has_caller, decided.caller_sampled, decided.randomness) == (True, None, "00000000000001")
