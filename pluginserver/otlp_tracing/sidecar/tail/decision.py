"""Which traces are kept after the response although the head decision dropped them, and why.

Such a trace has no threshold in its tracestate, because the share of requests that it represents is not known. The
services behind were told that it is not sampled; only the gateway's part of the trace is kept.

Source: OpenTelemetry specification, trace/tracestate-probability-sampling.md (non-probability sampling).
"""

from __future__ import annotations

from collections import OrderedDict

from otlp_tracing.config.settings import Keep
from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.ingest.request_record import RequestRecord

_RARE_SECONDS = 60.0
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
        for attempt in record.tries:
            if attempt.state:
                return "retry"
    took_ms = record.log.latencies.request
    if keep.slower_than_ms and took_ms is not None and took_ms > keep.slower_than_ms:
        return "slow"
    return "status" if record.status in keep.statuses else None


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
        self._expire(now)
        if (entry, route) in self._kept_at or len(self._kept_at) < self._max_routes:
            self._kept_at[entry, route] = now
            self._kept_at.move_to_end((entry, route))

    def _expire(self, now: float) -> None:
        while self._kept_at and next(iter(self._kept_at.values())) <= now - _RARE_SECONDS:
            self._kept_at.popitem(last=False)
