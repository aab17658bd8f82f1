"""Records each request for the live page: an append and a few counts."""

from __future__ import annotations

import time
from collections.abc import Callable

from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.sampling import ot_tracestate as ot_state
from otlp_tracing.sidecar.ingest.entities import all_tags, consumer_names
from otlp_tracing.sidecar.ingest.request_record import lines
from otlp_tracing.sidecar.live.requests import MAX_PATH, RecentRequest, RecentRequests
from otlp_tracing.sidecar.live.routes import RecentRoutes
from otlp_tracing.sidecar.live.traces import RecentTraces
from otlp_tracing.sidecar.live.what_if import WhatIfRedaction
from otlp_tracing.sidecar.outcome import RequestOutcome


class Recorder:
    """The last minutes of requests.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._what_if: dict[bytes, WhatIfRedaction] = {}
        self.traces = RecentTraces()
        self.requests = RecentRequests()
        self.routes = RecentRoutes(clock)

    def configure(self, entry_key: bytes, what_if: WhatIfRedaction) -> None:
        """Register how the requests of an entry are redacted for a what-if run."""
        self._what_if[entry_key] = what_if

    def forget(self, entry_key: bytes) -> None:
        """Remove an entry that is no longer configured."""
        self._what_if.pop(entry_key, None)

    def observe(self, outcome: RequestOutcome) -> None:
        """Record one request."""
        now, record, kept = self._clock(), outcome.record, bool(outcome.spans)
        status, duration_ms = record.status, record.duration_ms
        self.routes.observe(now, outcome.route, status, duration_ms, kept=kept)
        failed = status >= 500
        if kept and self.traces.admit(now, outcome.route, notable=failed or outcome.kept_for is not None):
            self.traces.add(
                outcome.context.trace_id,
                outcome.route,
                status=status,
                duration_ms=duration_ms,
                decision=outcome.decision,
                spans=outcome.spans,
                log_record=outcome.log_record,
            )
        if record.outline.session is not None:
            return  # a what-if run has requests alone: rules match methods, paths and headers
        weight = self.requests.weight(now, failed=failed, kept=kept)
        if weight:
            self.requests.add(self._request(now, weight, duration_ms, outcome))

    def _request(self, now: float, weight: int, duration_ms: float, outcome: RequestOutcome) -> RecentRequest:
        record, context, what_if = outcome.record, outcome.context, self._what_if[outcome.entry_key]
        headers: dict[str, list[str]] = {}
        for name in what_if.headers:
            headers[name] = lines(record.request_headers, name)
        randomness = None
        if "rv:" in context.trace_state:
            randomness = ot_state.read(trace_state.parse([context.trace_state])).get("rv")
        return RecentRequest(
            arrived=now,
            weight=weight,
            service=outcome.route[0],
            route=outcome.route[1],
            method=record.method,
            path=record.path[:MAX_PATH],
            host=record.host or "",
            headers=headers,
            status=record.status,
            duration_ms=duration_ms,
            tries=len(record.tries),
            has_failed_try=record.has_failed_try,
            consumer=tuple(consumer_names(record.log)),
            tags=tuple(all_tags(record.log)),
            request_bytes=record.log.request.size or 0,
            response_bytes=record.log.response.size or 0,
            grpc_status=record.grpc_status,
            trace_id=context.trace_id,
            randomness=randomness,
            has_caller=context.parent_span_id is not None,
            caller_sampled=context.sampled if context.decided_by == "parent" else None,
            kept=bool(outcome.spans),
            redact=what_if.redact,
        )
