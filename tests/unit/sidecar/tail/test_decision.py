"""Promises of sidecar/tail/decision.py."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from otlp_tracing.config.settings import Keep
from otlp_tracing.sidecar.ingest.request_record import GRPC_CODES, decode
from otlp_tracing.sidecar.tail.decision import RouteMinimum, keep_reason
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
