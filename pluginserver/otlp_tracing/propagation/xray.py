"""AWS X-Ray's format: `x-amzn-trace-id: Root=1-{8 digits}-{24 digits};Parent={16 digits};Sampled={0 or 1}`.

The fields come in any order, with others between them (Self, Lineage) that are ignored. A load balancer sends Root
alone: its trace is continued without a parent. `Sampled=?`, or no such field, leaves the decision to us.

Source: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from otlp_tracing.context import SpanContext
from otlp_tracing.propagation.caller import Caller
from otlp_tracing.propagation.identifiers import SPAN_ID, TRACE_ID, from_hex, single_value

HEADERS = ("x-amzn-trace-id",)

_ROOT = re.compile(r"1-([0-9a-fA-F]{8})-([0-9a-fA-F]{24})", re.ASCII)
_SAMPLED = {"1": True, "0": False}


def extract(headers: Mapping[str, Sequence[str]]) -> Caller | None:
    """Read the caller's context."""
    text = single_value(headers, "x-amzn-trace-id")
    if text is None:
        return None
    fields = {name.strip(): value.strip() for name, _, value in (field.partition("=") for field in text.split(";"))}
    root = _ROOT.fullmatch(fields.get("Root", ""))
    trace_id = from_hex(root[1] + root[2], TRACE_ID) if root else None
    span_id = None
    if "Parent" in fields:
        parent = fields["Parent"]
        span_id = from_hex(parent, SPAN_ID) if len(parent) == 16 else None
        if span_id is None:
            return None
    return Caller(trace_id, span_id, _SAMPLED.get(fields.get("Sampled", ""))) if trace_id else None


def inject(context: SpanContext) -> dict[str, list[str]]:
    """Write the context."""
    trace_id = context.trace_id.hex()
    decision = "1" if context.sampled else "0"
    root = f"1-{trace_id[:8]}-{trace_id[8:]}"
    return {"x-amzn-trace-id": [f"Root={root};Parent={context.span_id.hex()};Sampled={decision}"]}
