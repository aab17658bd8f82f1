"""Promises of sidecar/spans/sampling.py."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.spans.sampling import sampling_attributes


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
