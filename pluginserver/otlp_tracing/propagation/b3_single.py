"""B3, Zipkin's format, in its one header: `b3: {trace id}-{span id}-{decision}-{parent span id}`.

The last two fields may be left out. The decision is 1, 0 or d (debug: sampled); without it the decision is left to the
receiver. A header with a decision alone, `b3: 0`, starts a new trace with that decision.

Source: https://github.com/openzipkin/b3-propagation, "Single Header".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from otlp_tracing.context import SpanContext
from otlp_tracing.propagation.caller import Caller, decision
from otlp_tracing.propagation.identifiers import SPAN_ID, TRACE_ID, from_hex, single_value

HEADERS = ("b3",)

_B3 = re.compile(r"([^-]+)-([^-]+)(?:-([01d])(?:-([^-]+))?)?", re.ASCII)
_SAMPLED = {"1": True, "d": True, "0": False}


def extract(headers: Mapping[str, Sequence[str]]) -> Caller | None:
    """Read the caller's context, or its decision."""
    text = single_value(headers, "b3") or ""
    if text in _SAMPLED:
        return decision(_SAMPLED[text])
    match = _B3.fullmatch(text)
    if match is None:
        return None
    trace_id, span_id = read_trace_id(match[1]), read_span_id(match[2])
    if trace_id is None or span_id is None or (match[4] and read_span_id(match[4]) is None):
        return None
    return Caller(trace_id, span_id, _SAMPLED.get(match[3]))


def inject(context: SpanContext) -> dict[str, list[str]]:
    """Write 128-bit ids and the decision."""
    decision = "1" if context.sampled else "0"
    return {"b3": [f"{context.trace_id.hex()}-{context.span_id.hex()}-{decision}"]}


def read_trace_id(text: str | None) -> bytes | None:
    """Read 16 or 32 digits."""
    return from_hex(text, TRACE_ID) if text is not None and len(text) in {16, 32} else None


def read_span_id(text: str | None) -> bytes | None:
    """Read 16 digits."""
    return from_hex(text, SPAN_ID) if text is not None and len(text) == 16 else None
