"""Promises of sidecar/tail/decision.py."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import msgspec
import pytest

from otlp_tracing.config.settings import GRPC_CODES, Keep, Settings
from otlp_tracing.propagation import tracestate
from otlp_tracing.sampling import ot_tracestate, threshold
from otlp_tracing.sampling import probability as head_sampling
from otlp_tracing.sidecar.ingest.request_record import decode
from otlp_tracing.sidecar.spans.sampling import sampling_attributes
from otlp_tracing.sidecar.tail.decision import RouteMinimum, decide_by_rule, keep_reason
from otlp_tracing.sidecar.tail.rules import FinishedRule, TailRules
from spans_of import CONTEXT, GRPC, spans_of

EVERYTHING = Keep(errors=True, slower_than_ms=1000, statuses=(429,))
NOTHING = Keep(errors=False)
ENTRY = b"e" * 16
LOWERED = dataclasses.replace(CONTEXT, decided_by="budget")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"response": {"status": 200}}, None),
        ({"response": {"status": 404}}, None),
        ({"response": {"status": 500}}, "error"),
        ({"response": {"status": 200}, "tries": [{"state": "failed", "code": 502}, {}]}, "retry"),
        ({"response": {"status": 200}, "latencies": {"request": 1001}}, "slow"),
        ({"response": {"status": 200}, "latencies": {"request": 1000}}, None),
        ({"response": {"status": 429}}, "status"),
        ({"response": {"status": 503}, "latencies": {"request": 5000}}, "error"),
        ({}, None),
        ({"tries": {}}, None),
        ({**GRPC, "response": {"status": 200, "headers": {"grpc-status": "13"}}}, "error"),
        ({**GRPC, "response": {"status": 200, "headers": {"grpc-status": "5"}}}, None),
        ({**GRPC, "response": {"status": 200, "headers": {"grpc-status": "0"}}}, None),
        ({"request": {"method": "POST", "uri": "/a"}, "response": {"headers": {"grpc-status": "13"}}}, None),
    ],
)
def test_a_request_is_kept_for_a_reason(record: dict[str, Any], reason: str | None) -> None:
    """Errors before retries before slowness before chosen statuses; nothing where nothing is wished."""
    decoded = decode(msgspec.json.encode(record))

    assert keep_reason(decoded, EVERYTHING) == reason
    assert keep_reason(decoded, NOTHING) is None


@pytest.mark.parametrize("code", range(len(GRPC_CODES) + 1))
def test_a_call_is_kept_for_the_statuses_that_make_its_span_an_error(code: int) -> None:
    """An error on the SERVER span is an error here, and nothing else is."""
    fields = {**GRPC, "response": {"status": 200, "headers": {"grpc-status": str(code)}}}
    reason = keep_reason(decode(msgspec.json.encode(fields)), EVERYTHING)

    assert (reason == "error") is spans_of(**fields)[0].is_error


def test_only_lowered_rates_have_a_minimum() -> None:
    """A route that its configured rate makes rare stays rare."""
    assert not RouteMinimum().is_rare(ENTRY, "r", dataclasses.replace(CONTEXT, decided_by="rate"), 0.0)


def test_a_route_is_rare_after_a_minute_without_a_trace() -> None:
    """And until its first one; of each entry by itself."""
    routes = RouteMinimum()
    first = routes.is_rare(ENTRY, "r", LOWERED, 0.0)
    routes.kept(ENTRY, "r", 0.0)

    assert first
    assert not routes.is_rare(ENTRY, "r", LOWERED, 59.9)
    assert routes.is_rare(ENTRY, "r", LOWERED, 60.0)
    assert routes.is_rare(b"other", "r", LOWERED, 1.0)


def test_every_trace_begins_the_minute_anew() -> None:
    """A route with traces is not rare, whatever they were kept for."""
    routes = RouteMinimum()
    for at in (0.0, 40.0):
        routes.kept(ENTRY, "r", at)

    assert not routes.is_rare(ENTRY, "r", LOWERED, 99.0)


def test_the_routes_are_bounded() -> None:
    """Past the bound nothing more is rare, until a minute has passed."""
    routes = RouteMinimum(max_routes=2)
    for number in range(3):
        routes.kept(ENTRY, str(number), 0.0)

    assert not routes.is_rare(ENTRY, "2", LOWERED, 1.0)
    assert routes.is_rare(ENTRY, "2", LOWERED, 60.0)


TRACE_ID = bytes(9) + (0x60 << 48).to_bytes(7, "big")  # randomness 0.375 of the whole
HALF = dataclasses.replace(CONTEXT, trace_id=TRACE_ID, trace_state="ot=th:8;rv:a0000000000000", probability=0.5)
"""Kept by a rate of 0.5, since its randomness, 0.625, is above."""
NOT_KEPT = dataclasses.replace(CONTEXT, trace_id=TRACE_ID, flags=2, trace_state="", probability=0.5, decided_by="rate")


def finished_rule(rate: float) -> FinishedRule:
    rule = {"name": "gold", "rate": rate}
    return TailRules(Settings.from_config({"sampling": {"tail_rules": [rule]}}).sampling.tail_rules).rules[0]


@pytest.mark.parametrize(
    ("rate", "kept_for", "is_dropped", "state", "probability"),
    [
        (1, None, False, "ot=th:8;rv:a0000000000000", 0.5),
        (0.75, None, False, "ot=th:8;rv:a0000000000000", 0.5),
        (0.4, None, False, "ot=th:999a;rv:a0000000000000", pytest.approx(0.4, abs=1e-4)),
        (0.25, None, True, "ot=th:8;rv:a0000000000000", 0.25),
        (0, None, True, "ot=th:8;rv:a0000000000000", None),
    ],
)
def test_a_rule_lowers_the_probability_of_a_trace_that_the_head_kept(
    rate: float, kept_for: str | None, is_dropped: bool, state: str, probability: float | None
) -> None:
    """By the randomness in the tracestate; the spans state the lower of the two probabilities."""
    decision = decide_by_rule(HALF, finished_rule(rate))

    assert (decision.kept_for, decision.is_dropped) == (kept_for, is_dropped)
    assert decision.context.trace_state == state
    assert decision.context.probability == probability
    assert decision.is_kept is not is_dropped


@pytest.mark.parametrize(("rate", "is_kept"), [(1, True), (0.7, True), (0.6, False), (0, False)])
def test_a_rule_keeps_a_trace_that_the_head_dropped_without_a_threshold(rate: float, is_kept: bool) -> None:
    """The same traces at the same rate, everywhere; the reason and the rule are on the span."""
    decision = decide_by_rule(NOT_KEPT, finished_rule(rate))
    attributes = sampling_attributes(decision.context, decision.kept_for)

    assert decision.is_kept is is_kept
    assert not decision.is_dropped
    assert decision.context.trace_state == ""
    assert not is_kept or attributes == {
        "otlp_tracing.sampling.reason": "tail_rule",
        "otlp_tracing.sampling.rule": "gold",
    }


def test_a_callers_trace_without_a_threshold_gets_none() -> None:
    """The caller's probability is not known, so neither is that of the two together."""
    context = dataclasses.replace(CONTEXT, trace_id=b"\xff" * 16, trace_state="v=1", decided_by="parent")

    assert decide_by_rule(context, finished_rule(0.5)).context.trace_state == "v=1"


def test_the_traces_of_a_rule_estimate_the_number_of_its_requests() -> None:
    """Each trace with a threshold counts 1/probability; those that the head dropped have none."""
    chance = random.Random(3)
    rule, estimate, kept = finished_rule(0.2), 0.0, 0
    for _ in range(20_000):
        trace_id = chance.randbytes(16)
        is_sampled, members = head_sampling.decide(trace_id, (), threshold.from_rate(0.5))
        context = dataclasses.replace(
            CONTEXT, trace_id=trace_id, flags=int(is_sampled), trace_state=tracestate.render(members), probability=0.5
        )
        decision = decide_by_rule(context, rule)
        kept += decision.is_kept
        if decision.is_kept:
            stated = ot_tracestate.read(tracestate.parse([decision.context.trace_state]))["th"]
            estimate += 1 / threshold.probability(threshold.decode(stated) or 0)

    assert kept == pytest.approx(4_000, rel=0.06)
    assert estimate == pytest.approx(20_000, rel=0.06)
