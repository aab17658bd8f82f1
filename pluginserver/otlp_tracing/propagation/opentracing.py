"""OpenTracing's format, of its reference tracers: `ot-tracer-traceid`, `ot-tracer-spanid`, `ot-tracer-sampled`.

Hexadecimal ids of 64 bits; newer writers send trace ids of 128. This module reads both and writes 64, the lower half,
because the reference tracers refuse a longer one. Its baggage, `ot-baggage-*`, is in baggage.py.

Source: https://github.com/opentracing/basictracer-go, propagation_ot.go; OpenTelemetry specification,
context/api-propagators.md (OT Trace).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otlp_tracing.context import SpanContext
from otlp_tracing.propagation.caller import Caller
from otlp_tracing.propagation.identifiers import SPAN_ID, TRACE_ID, from_hex, single_value

HEADERS = ("ot-tracer-traceid", "ot-tracer-spanid", "ot-tracer-sampled")

_SAMPLED = {"true": True, "1": True, "false": False, "0": False}


def extract(headers: Mapping[str, Sequence[str]]) -> Caller | None:
    """Read the caller's context."""
    trace_id = from_hex(single_value(headers, "ot-tracer-traceid"), TRACE_ID)
    span_id = from_hex(single_value(headers, "ot-tracer-spanid"), SPAN_ID)
    if trace_id is None or span_id is None:
        return None
    return Caller(trace_id, span_id, _SAMPLED.get((single_value(headers, "ot-tracer-sampled") or "").lower()))


def inject(context: SpanContext) -> dict[str, list[str]]:
    """Write the context; nothing where the id's lower half is zero."""
    lower_half = context.trace_id[SPAN_ID:]
    if not any(lower_half):
        return {name: [] for name in HEADERS}
    return {
        "ot-tracer-traceid": [lower_half.hex()],
        "ot-tracer-spanid": [context.span_id.hex()],
        "ot-tracer-sampled": ["true" if context.sampled else "false"],
    }
