"""Datadog's format: ids of 64 bits in decimal, the trace id's upper half in a tag, a priority for a decision.

`x-datadog-trace-id`, `x-datadog-parent-id`, `x-datadog-sampling-priority` (-1 and 0 drop; 1 and 2 keep) and
`x-datadog-tags` with `_dd.p.tid=` and 16 hexadecimal digits. Its other tags describe a decision that is now
ours, so they are not passed on. `x-datadog-origin` is no trace context and is not touched here.

Source: https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/; DataDog/dd-trace-py,
ddtrace/propagation/http.py and docs on 128-bit trace ids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from otlp_tracing.context import SpanContext
from otlp_tracing.propagation.caller import Caller
from otlp_tracing.propagation.identifiers import SPAN_ID, from_decimal, single_value

HEADERS = ("x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-tags")

_UPPER_HALF = re.compile(r"(?:^|,)_dd\.p\.tid=([0-9a-f]{16})(?=,|\Z)", re.ASCII)
_PRIORITY = re.compile(r"-?[0-9]{1,3}", re.ASCII)


def extract(headers: Mapping[str, Sequence[str]]) -> Caller | None:
    """Read the caller's context; a parent of 0 or none at all is a trace that starts with us."""
    lower_half = from_decimal(single_value(headers, "x-datadog-trace-id"))
    if lower_half is None:
        return None
    span_id = None
    parent = single_value(headers, "x-datadog-parent-id")
    if "x-datadog-parent-id" in headers and parent != "0":
        span_id = from_decimal(parent)
        if span_id is None:
            return None
    upper_half = _UPPER_HALF.search(single_value(headers, "x-datadog-tags") or "")
    trace_id = (bytes.fromhex(upper_half[1]) if upper_half else bytes(SPAN_ID)) + lower_half
    return Caller(trace_id, span_id, _sampled(single_value(headers, "x-datadog-sampling-priority")))


def inject(context: SpanContext) -> dict[str, list[str]]:
    """Write the context; nothing where the id's lower half is zero, which no reader of the format takes."""
    upper_half, lower_half = context.trace_id[:SPAN_ID], context.trace_id[SPAN_ID:]
    if not any(lower_half):
        return {name: [] for name in HEADERS}
    return {
        "x-datadog-trace-id": [str(int.from_bytes(lower_half, "big"))],
        "x-datadog-parent-id": [str(int.from_bytes(context.span_id, "big"))],
        "x-datadog-sampling-priority": ["1" if context.sampled else "0"],
        "x-datadog-tags": [f"_dd.p.tid={upper_half.hex()}"] if any(upper_half) else [],
    }


def _sampled(priority: str | None) -> bool | None:
    if priority is None or not _PRIORITY.fullmatch(priority):
        return None
    return int(priority) >= 1
