"""The decision after the response: which traces are kept that the head dropped, or dropped that it kept, and why.

A trace that the head dropped has no threshold in its tracestate, because the share of requests that it represents is
not known. The services behind were told that it is not sampled; only the gateway's part of the trace is kept.

The order is that of Pipeline._decide (pipeline.py): a debug session, the response, the rules, the head, rare routes.

A rule on the finished request decides by the trace's randomness, as the head does. So of a trace that the head kept
with one probability, and a rule with a lower one, the lower is the probability; its spans state it.

Source: OpenTelemetry specification, trace/tracestate-probability-sampling.md (non-probability sampling; a threshold
may be raised downstream).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from otlp_tracing.config.settings import Keep
from otlp_tracing.context import TAIL_RULE, RequestContext
from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.sampling import ot_tracestate as ot_state
from otlp_tracing.sampling import threshold
from otlp_tracing.sidecar.ingest.request_record import RequestRecord
from otlp_tracing.sidecar.tail.rules import FinishedRule

_RARE_SECONDS = 60.0
_PRECISION_SECONDS = 1.0  # a busy route is noted once a second
# As many routes as a large gateway has, a megabyte. A new route past the bound is not kept for being rare, which also
# bounds the number of traces kept for that reason.
MAX_RARE_ROUTES = 4096


def keep_reason(record: RequestRecord, keep: Keep) -> str | None:
    """Return why a request that the head dropped is kept: error, retry, slow or status. None if it is not.

    Args:
        record: of the request.
        keep: the plugin entry's setting.
    """
    if keep.errors:
        if record.error_type is not None:
            return "error"
        if record.has_failed_try:
            return "retry"
    took_ms = record.outline.latencies.request
    if keep.slower_than_ms and took_ms is not None and took_ms > keep.slower_than_ms:
        return "slow"
    return "status" if record.status in keep.statuses else None


class TailDecision:
    """The final decision about one request.

    Args:
        context: the head decision, with the trace's final threshold and probability.
        kept_for: why a request that the head dropped is kept: as of keep_reason, or tail_rule; otherwise None.
        is_dropped: a rule drops the trace that the head kept.
    """

    __slots__ = ("context", "is_dropped", "kept_for")

    def __init__(self, context: RequestContext, kept_for: str | None = None, *, is_dropped: bool = False) -> None:
        self.context: Final = context
        self.kept_for: Final = kept_for
        self.is_dropped: Final = is_dropped

    @property
    def is_kept(self) -> bool:
        """The trace is exported."""
        return self.kept_for is not None or (self.context.sampled and not self.is_dropped)


def decide_by_rule(context: RequestContext, rule: FinishedRule) -> TailDecision:
    """Decide about a request that a rule matches, by the trace's randomness.

    Args:
        context: the head decision.
        rule: that matches the request.
    """
    members = trace_state.parse([context.trace_state]) if context.trace_state else ()
    entries = ot_state.read(members)
    is_kept = threshold.randomness(context.trace_id, entries.get("rv")) >= rule.threshold
    if is_kept and not context.sampled:
        return TailDecision(context.ruled(rule.name), TAIL_RULE)
    stated = threshold.decode(entries["th"]) if "th" in entries else None
    state = context.trace_state
    if is_kept and stated is not None and stated < rule.threshold:
        state = trace_state.render(ot_state.with_threshold(members, threshold.encode(rule.threshold)))
    probability = context.probability
    if probability is not None:
        # No count can be estimated of requests that are never kept.
        probability = min(probability, threshold.probability(rule.threshold)) if rule.rate else None
    final = context.lowered(state, probability)
    return TailDecision(final, is_dropped=context.sampled and not is_kept)


class RouteMinimum:
    """Keeps one trace a minute of each route with a rate lowered by a budget or the load.

    Otherwise a route with few requests would disappear under a tight budget.
    """

    def __init__(self, max_routes: int = MAX_RARE_ROUTES) -> None:
        self._max_routes = max_routes
        self._kept_at: OrderedDict[tuple[bytes, str], float] = OrderedDict()

    def is_rare(self, entry: bytes, route: str, context: RequestContext, now: float) -> bool:
        """Tell whether a route has had no trace for a minute.

        Args:
            entry: key of the plugin entry.
            route: Kong's id of it; empty without one.
            context: the head decision.
            now: monotonic seconds.
        """
        if context.decided_by not in {"budget", "load"}:
            return False
        self._expire(now)
        return (entry, route) not in self._kept_at and len(self._kept_at) < self._max_routes

    def kept(self, entry: bytes, route: str, now: float) -> None:
        """Remember that a trace of a route is kept; arguments as of is_rare."""
        key = entry, route
        kept_at = self._kept_at.get(key)
        if kept_at is not None and now - kept_at < _PRECISION_SECONDS:
            return
        self._expire(now)
        if key in self._kept_at or len(self._kept_at) < self._max_routes:
            self._kept_at[key] = now
            self._kept_at.move_to_end(key)

    def _expire(self, now: float) -> None:
        while self._kept_at and next(iter(self._kept_at.values())) <= now - _RARE_SECONDS:
            self._kept_at.popitem(last=False)
