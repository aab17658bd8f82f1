"""Why a trace was kept, as attributes (`otlp_tracing.sampling.*`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from otlp_tracing.context import TAIL_RULE, RequestContext
from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.sampling import ot_tracestate as ot_state
from otlp_tracing.sampling import threshold
from otlp_tracing.sidecar.spans.model import AttributeValue


def sampling_attributes(context: RequestContext, kept_for: str | None) -> Mapping[str, AttributeValue]:
    """Return the attributes with the reason for which the trace was kept.

    Args:
        context: of the request.
        kept_for: why it was kept after the response; None if the head decision keeps it.
    """
    attributes: dict[str, AttributeValue] = {}
    reason = kept_for or context.decided_by
    if reason:
        attributes["otlp_tracing.sampling.reason"] = reason
    if context.rule and kept_for in {None, TAIL_RULE}:
        attributes["otlp_tracing.sampling.rule"] = context.rule
    if kept_for is None:
        probability = _stated_probability(context.trace_state)
        if probability is not None:
            attributes["otlp_tracing.sampling.probability"] = probability
    return attributes


# Traces that start here have few different states. The state of a caller's trace costs a parse, as without the cache.
@lru_cache(maxsize=128)  # the longest has 16 KiB: 2 MiB at the worst
def _stated_probability(state: str) -> float | None:
    stated = threshold.decode(ot_state.read(trace_state.parse([state])).get("th", ""))
    return None if stated is None else 1 - stated / threshold.NEVER
