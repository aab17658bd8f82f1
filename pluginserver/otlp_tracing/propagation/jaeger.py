"""Jaeger's format: `uber-trace-id: {trace id}:{span id}:{parent span id}:{flags}`, hexadecimal.

Ids may be shorter than they are and are padded on the left; the parent is ignored, and written as 0 since
the format has deprecated it. Flags: 1 sampled, 2 debug, which implies sampled. Its baggage, `uberctx-*`,
is in baggage.py.

Source: https://www.jaegertracing.io/sdk-migration/#propagation-format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from otlp_tracing.context import FLAG_SAMPLED, SpanContext
from otlp_tracing.propagation.caller import Caller
from otlp_tracing.propagation.identifiers import SPAN_ID, TRACE_ID, from_hex, single_value

HEADERS = ("uber-trace-id",)

_UBER_TRACE_ID = re.compile(r"([^:]+):([^:]+):([0-9a-fA-F]{0,16}):([0-9a-fA-F]{1,2})", re.ASCII)
_SAMPLED_OR_DEBUG = 0x01 | 0x02


def extract(headers: Mapping[str, Sequence[str]]) -> Caller | None:
    """Read the caller's context."""
    text = single_value(headers, "uber-trace-id")
    if text is None:
        return None
    # Jaeger's own clients encode the colons where a carrier asks for it, and read both.
    match = _UBER_TRACE_ID.fullmatch(unquote(text) if "%" in text else text)
    if match is None:
        return None
    trace_id, span_id = from_hex(match[1], TRACE_ID), from_hex(match[2], SPAN_ID)
    if trace_id is None or span_id is None:
        return None
    return Caller(trace_id, span_id, bool(int(match[4], 16) & _SAMPLED_OR_DEBUG))


def inject(context: SpanContext) -> dict[str, list[str]]:
    """Write full ids, no parent, and the sampled flag alone."""
    flags = context.flags & FLAG_SAMPLED
    return {"uber-trace-id": [f"{context.trace_id.hex()}:{context.span_id.hex()}:0:{flags}"]}
