"""What is kept after the response, whatever was decided before it, and why a trace is kept at all. Pure.

A trace that the head dropped and an error, a slow answer, a chosen status or a retry keeps has no threshold
in its tracestate: nobody can say what share of such requests it stands for. So it is with the first trace of a
route in a minute where a budget or the load lowered the rates (rare_routes.py). The services behind were told
that it is not sampled; it is the gateway's part of the trace that is kept.

Source: OpenTelemetry specification, trace/tracestate-probability-sampling.md (non-probability sampling).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from otlp_tracing.config.settings import Keep
from otlp_tracing.context import RequestContext
from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.sampling import ot_tracestate as ot_state
from otlp_tracing.sampling import threshold
from otlp_tracing.sidecar.ingest.log_record import LogRecord
from otlp_tracing.sidecar.spans.model import AttributeValue
from otlp_tracing.sidecar.spans.server import error_type

__all__ = ["is_lowered", "keep_reason", "sampling_attributes"]


def keep_reason(record: LogRecord, keep: Keep) -> str | None:
    """Return why a request that the head dropped is kept all the same: error, retry, slow or status.

    Args:
        record: what Kong logged.
        keep: the plugin entry's wishes.
    """
    status = record.response.status
    tries = record.tries if isinstance(record.tries, list) else []
    if keep.errors and error_type(record) is not None:
        return "error"
    if keep.errors and any(attempt.state for attempt in tries):
        return "retry"
    took_ms = record.latencies.request
    if keep.slower_than_ms and took_ms is not None and took_ms > keep.slower_than_ms:
        return "slow"
    return "status" if status in keep.statuses else None


def is_lowered(context: RequestContext) -> bool:
    """Tell whether a budget or the load made a request's probability lower than its configured rate."""
    return context.decided_by in {"budget", "load"}


def sampling_attributes(context: RequestContext, kept_for: str | None) -> Mapping[str, AttributeValue]:
    """Return the attributes that say on a span why it is there.

    Args:
        context: what was decided for the request.
        kept_for: why it was kept after the response; None where the head decision keeps it.
    """
    attributes: dict[str, AttributeValue] = {}
    reason = kept_for or context.decided_by
    if reason:
        attributes["otlp_tracing.sampling.reason"] = reason
    if kept_for is None:
        if context.rule:
            attributes["otlp_tracing.sampling.rule"] = context.rule
        probability = _stated_probability(context.trace_state)
        if probability is not None:
            attributes["otlp_tracing.sampling.probability"] = probability
    return attributes


# Traces that start here have the same few; callers that bring their own cost a parse each, as without it.
@lru_cache(maxsize=128)  # the longest has 16 KiB: 2 MiB at the worst
def _stated_probability(state: str) -> float | None:
    stated = threshold.decode(ot_state.read(trace_state.parse([state])).get("th", ""))
    return None if stated is None else 1 - stated / threshold.NEVER
