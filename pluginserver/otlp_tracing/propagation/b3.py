"""B3, Zipkin's format, in its many headers: `x-b3-traceid`, `x-b3-spanid`, `x-b3-sampled`, `x-b3-flags`.

Reads the single header `b3` as well, and before these: a caller that sends both means the same by both.
`x-b3-parentspanid` names the caller's parent and is ignored. A decision without a trace id (`x-b3-sampled: 0`,
`x-b3-flags: 1`) starts a new trace with that decision; beside malformed ids it is ignored like them.

Source: https://github.com/openzipkin/b3-propagation; OpenTelemetry specification, context/api-propagators.md (the
single header has priority).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otlp_tracing.context import SpanContext
from otlp_tracing.propagation import b3_single
from otlp_tracing.propagation.caller import Caller, decision
from otlp_tracing.propagation.identifiers import single_value

HEADERS = ("x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags")

# Tracers wrote "true" and "false" before the format was specified; the specification asks receivers to accept them.
_SAMPLED = {"1": True, "0": False, "true": True, "false": False}


def extract(headers: Mapping[str, Sequence[str]]) -> Caller | None:
    """Read the caller's context, or its decision."""
    alone = None
    if "b3" in headers:
        caller = b3_single.extract(headers)
        if caller is not None and caller.trace_id:
            return caller
        alone = caller
    if "x-b3-traceid" in headers:
        trace_id = b3_single.read_trace_id(single_value(headers, "x-b3-traceid"))
        span_id = b3_single.read_span_id(single_value(headers, "x-b3-spanid"))
        if trace_id is not None and span_id is not None:
            return Caller(trace_id, span_id, _decision(headers))
    elif alone is None:
        sampled = _decision(headers)
        return None if sampled is None else decision(sampled)
    return alone


def _decision(headers: Mapping[str, Sequence[str]]) -> bool | None:
    # The debug flag implies a decision to sample, whatever else is said.
    if "x-b3-flags" in headers and single_value(headers, "x-b3-flags") == "1":
        return True
    if "x-b3-sampled" not in headers:
        return None
    return _SAMPLED.get((single_value(headers, "x-b3-sampled") or "").lower())


def inject(context: SpanContext) -> dict[str, list[str]]:
    """Write 128-bit ids and the decision. The caller's parent and debug flag are removed."""
    return {
        "x-b3-traceid": [context.trace_id.hex()],
        "x-b3-spanid": [context.span_id.hex()],
        "x-b3-sampled": ["1" if context.sampled else "0"],
        "x-b3-parentspanid": [],
        "x-b3-flags": [],
    }
