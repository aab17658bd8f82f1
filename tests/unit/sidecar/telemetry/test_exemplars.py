"""Promises of sidecar/telemetry/exemplars.py; test_otlp_metrics.py has the exemplars that are sent."""

from __future__ import annotations

import time

from otlp_tracing.sidecar.telemetry.exemplars import exemplar_of
from spans_of import CONTEXT, outcome_of


def test_only_a_kept_trace_becomes_an_exemplar() -> None:
    """Otherwise its id would lead to a trace that no backend has."""
    begun = time.time_ns()
    found = exemplar_of(outcome_of(spans=[b"span"]), 0.5)

    assert found is not None
    assert begun <= found.unix_ns <= time.time_ns()
    assert (found.value, found.trace_id, found.span_id) == (0.5, CONTEXT.trace_id, CONTEXT.span_id)
    assert exemplar_of(outcome_of(spans=[]), 0.5) is None
