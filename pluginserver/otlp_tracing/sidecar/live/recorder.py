"""Records each request for the live page: an append and a few counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from otlp_tracing.context import RequestContext
from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.sampling import ot_tracestate as ot_state
from otlp_tracing.sidecar.ingest.log_record import LogRecord
from otlp_tracing.sidecar.live.requests import MAX_PATH, RecentRequest, RecentRequests
from otlp_tracing.sidecar.live.routes import RecentRoutes
from otlp_tracing.sidecar.live.traces import RecentTraces
from otlp_tracing.sidecar.live.what_if import WhatIfRedaction
from otlp_tracing.sidecar.spans.client import tries_of
from otlp_tracing.sidecar.spans.header_capture import header, header_lines
from otlp_tracing.sidecar.spans.server import status_code


class Recorder:
    """The last minutes of requests.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.traces = RecentTraces()
        self.requests = RecentRequests()
        self.routes = RecentRoutes(clock)

    def observe(
        self,
        record: LogRecord,
        route_key: tuple[str, str],
        context: RequestContext,
        outcome: str,
        spans: Sequence[bytes],
        *,
        what_if: WhatIfRedaction,
    ) -> None:
        """Record one request.

        Args:
            record: Kong's log record.
            route_key: names of its service and route.
            context: the head decision.
            outcome: as on otlp_tracing_requests_total.
            spans: encoded and redacted, the SERVER span first; empty if the trace is not kept.
            what_if: of the request's entry.
        """
        now = self._clock()
        status, duration_ms, kept = status_code(record), max(record.latencies.request or 0, 0), bool(spans)
        self.routes.observe(now, route_key, status, duration_ms, kept=kept)
        failed = status >= 500
        if kept and self.traces.admit(now, route_key, notable=failed or outcome != "sampled"):
            self.traces.add(
                context.trace_id, route_key, status=status, duration_ms=duration_ms, outcome=outcome, spans=spans
            )
        weight = self.requests.weight(now, failed=failed, kept=kept)
        if weight:
            self.requests.add(_request(now, weight, record, route_key, context, kept=kept, what_if=what_if))


def _request(
    now: float,
    weight: int,
    record: LogRecord,
    route_key: tuple[str, str],
    context: RequestContext,
    *,
    kept: bool,
    what_if: WhatIfRedaction,
) -> RecentRequest:
    tries, headers = tries_of(record), record.request.headers
    return RecentRequest(
        arrived=now,
        weight=weight,
        service=route_key[0],
        route=route_key[1],
        method=record.request.method,
        path=record.request.uri.partition("?")[0][:MAX_PATH],
        host=header(headers, "host") or "",
        headers={name: header_lines(headers, name) for name in what_if.headers},
        status=status_code(record),
        duration_ms=max(record.latencies.request or 0, 0),
        tries=len(tries),
        has_failed_try=any(attempt.state for attempt in tries),
        trace_id=context.trace_id,
        randomness=_explicit_randomness(context.trace_state),
        has_caller=context.parent_span_id is not None,
        caller_sampled=context.sampled if context.decided_by == "parent" else None,
        kept=kept,
        redact=what_if.redact,
    )


def _explicit_randomness(state: str) -> str | None:
    return ot_state.read(trace_state.parse([state])).get("rv") if "rv:" in state else None
