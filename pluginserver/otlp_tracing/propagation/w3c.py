"""`traceparent` and `tracestate`, W3C Trace Context level 2.

Source: https://www.w3.org/TR/trace-context-2/, sections 3.2 (traceparent), 3.3 (tracestate), 4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from otlp_tracing.context import FLAG_RANDOM, FLAG_SAMPLED, SpanContext
from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.propagation.caller import Caller

HEADERS = ("traceparent", "tracestate")

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII | re.DOTALL)
# A longer value of a later version is cut to the known fields; a value beyond this length is not a trace context.
_LONGEST = 512
_KNOWN_FLAGS: Final = FLAG_SAMPLED | FLAG_RANDOM
_FLAGS: Final = tuple(f"{flags:02x}" for flags in range(_KNOWN_FLAGS + 1))  # as written


def extract(headers: Mapping[str, Sequence[str]]) -> Caller | None:
    """Read the caller's context.

    Two `traceparent` lines are as malformed as a broken one: the trace then starts here, and the
    caller's `tracestate` is not looked at.
    """
    values = headers.get("traceparent", ())
    if len(values) != 1 or len(values[0]) > _LONGEST:
        return None
    match = _TRACEPARENT.fullmatch(values[0].strip(" \t"))
    if match is None:
        return None
    version, trace_id, span_id, digits, rest = match.groups()
    if version == "ff" or (version == "00" and rest):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    flags = int(digits, 16)
    return Caller(
        bytes.fromhex(trace_id),
        bytes.fromhex(span_id),
        bool(flags & FLAG_SAMPLED),
        bool(flags & FLAG_RANDOM),
        trace_state.parse(headers["tracestate"]) if "tracestate" in headers else (),
    )


def inject(context: SpanContext) -> dict[str, list[str]]:
    """Write version 00, whatever version came in; an empty `tracestate` is removed, not sent empty."""
    return {
        "traceparent": [traceparent(context.trace_id, context.span_id, context.flags)],
        "tracestate": [context.trace_state] if context.trace_state else [],
    }


def traceparent(trace_id: bytes, span_id: bytes, flags: int) -> str:
    """Write the header's value; flags that no version has defined are left out."""
    return f"00-{trace_id.hex()}-{span_id.hex()}-{_FLAGS[flags & _KNOWN_FLAGS]}"
