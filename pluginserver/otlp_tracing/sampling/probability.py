"""The head decision: whether a trace is kept, and its statement in the tracestate.

Pure; runs on the path of every request: a few comparisons, no more.

Source: OpenTelemetry specification, trace/tracestate-probability-sampling.md (ProbabilitySampler,
ComposableParentThreshold).
"""

from __future__ import annotations

from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.sampling import ot_tracestate as ot_state
from otlp_tracing.sampling import threshold


def decide(trace_id: bytes, members: trace_state.Members, threshold_: int) -> tuple[bool, trace_state.Members]:
    """Decide by the trace's randomness.

    Args:
        trace_id: 16 bytes.
        members: the tracestate received, empty for a new trace.
        threshold_: 0 (keep all) to threshold.NEVER.

    Returns:
        Whether the trace is kept, and the tracestate to send on.
    """
    if threshold.randomness(trace_id, ot_state.read(members).get("rv")) >= threshold_:
        return True, ot_state.with_threshold(members, threshold.encode(threshold_))
    return False, ot_state.without_threshold(members)


def follow_parent(trace_id: bytes, sampled: bool, members: trace_state.Members) -> tuple[bool, trace_state.Members]:
    """Decide as the caller did; a `th` that contradicts the caller's flag is taken out.

    Args:
        trace_id: 16 bytes, the caller's.
        sampled: the caller's decision.
        members: the tracestate received.
    """
    entries = ot_state.read(members)
    if "th" in entries:
        stated = threshold.decode(entries["th"])
        kept = stated is not None and threshold.randomness(trace_id, entries.get("rv")) >= stated
        if not sampled or not kept:
            members = ot_state.without_threshold(members)
    return sampled, members
