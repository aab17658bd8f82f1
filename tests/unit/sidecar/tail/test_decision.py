"""Promises of sidecar/tail/decision.py."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from otlp_tracing.config.settings import Keep
from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.ingest.log_record import LogRecord
from otlp_tracing.sidecar.spans.grpc import CODES
from otlp_tracing.sidecar.tail.decision import keep_reason, sampling_attributes
from spans_of import GRPC, spans_of

EVERYTHING = Keep(errors=True, slower_than_ms=1000, statuses=(429,))
NOTHING = Keep(errors=False)


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
    decoded = msgspec.convert(record, LogRecord)

    assert keep_reason(decoded, EVERYTHING) == reason
    assert keep_reason(decoded, NOTHING) is None


@pytest.mark.parametrize("code", range(len(CODES) + 1))
def test_a_call_is_kept_for_the_statuses_that_make_its_span_an_error(code: int) -> None:
    """What the SERVER span shows as an error is an error here, and nothing else is."""
    fields = {**GRPC, "response": {"status": 200, "headers": {"grpc-status": str(code)}}}
    reason = keep_reason(msgspec.convert(fields, LogRecord), EVERYTHING)

    assert (reason == "error") is spans_of(**fields)[0].is_error


def context(**fields: Any) -> RequestContext:
    ids = {"trace_id": b"\x01" * 16, "span_id": b"\x02" * 8, "upstream_span_id": b"\x03" * 8}
    return RequestContext(**{**ids, "parent_span_id": None, "flags": 1, "trace_state": "", **fields})


@pytest.mark.parametrize(
    ("fields", "kept_for", "attributes"),
    [
        ({"decided_by": "rate", "trace_state": "ot=th:8"}, None, {"reason": "rate", "probability": 0.5}),
        ({"decided_by": "rate", "trace_state": "ot=th:0"}, None, {"reason": "rate", "probability": 1.0}),
        ({"decided_by": "rule", "rule": "api", "trace_state": "ot=th:c"}, None,
         {"reason": "rule", "rule": "api", "probability": 0.25}),
        ({"decided_by": "parent", "trace_state": "v=1"}, None, {"reason": "parent"}),
        ({"decided_by": "rule", "rule": "api"}, "slow", {"reason": "slow"}),
        ({}, None, {}),
    ],
)  # fmt: skip
def test_a_span_says_why_it_is_there(fields: dict[str, Any], kept_for: str | None, attributes: dict[str, Any]) -> None:
    """Reason, rule, and the probability where there is one."""
    named = {f"otlp_tracing.sampling.{name}": value for name, value in attributes.items()}

    assert sampling_attributes(context(**fields), kept_for) == named
