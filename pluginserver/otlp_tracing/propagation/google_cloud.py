"""Google Cloud's format: `x-cloud-trace-context: {trace id}/{span id};o={options}`.

The trace id has 32 hexadecimal digits, the span id is a decimal number of 64 bits. Span id and options may be left
out; a span id of 0 means no span. Google's services send `traceparent` as well: `inject` takes both names.

Source: https://cloud.google.com/trace/docs/trace-context#legacy-http-header
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from otlp_tracing.context import FLAG_SAMPLED, SpanContext
from otlp_tracing.propagation.caller import Caller
from otlp_tracing.propagation.identifiers import TRACE_ID, from_decimal, from_hex, single_value

HEADERS = ("x-cloud-trace-context",)

_CONTEXT = re.compile(r"([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;o=([0-9]{1,3}))?", re.ASCII)


def extract(headers: Mapping[str, Sequence[str]]) -> Caller | None:
    """Read the caller's context."""
    match = _CONTEXT.fullmatch(single_value(headers, "x-cloud-trace-context") or "")
    trace_id = from_hex(match[1], TRACE_ID) if match else None
    if match is None or trace_id is None:
        return None
    span_id = None
    if match[2] and match[2].strip("0"):
        span_id = from_decimal(match[2])
        if span_id is None:
            return None
    return Caller(trace_id, span_id, bool(int(match[3]) & FLAG_SAMPLED) if match[3] else None)


def inject(context: SpanContext) -> dict[str, list[str]]:
    """Write the context."""
    span_id = int.from_bytes(context.span_id, "big")
    options = context.flags & FLAG_SAMPLED
    return {"x-cloud-trace-context": [f"{context.trace_id.hex()}/{span_id};o={options}"]}
