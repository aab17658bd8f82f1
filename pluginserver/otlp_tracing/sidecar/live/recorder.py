"""Writes down what the page may want to know of a request: an append here, a count there, on every request."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from otlp_tracing.context import RequestContext
from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.sampling import ot_tracestate as ot_state
from otlp_tracing.sidecar.ingest.log_record import LogRecord
from otlp_tracing.sidecar.live.facts import Facts
from otlp_tracing.sidecar.live.requests import MAX_PATH, RecentRequest, RecentRequests
from otlp_tracing.sidecar.live.routes import RecentRoutes
from otlp_tracing.sidecar.live.traces import RecentTraces
from otlp_tracing.sidecar.spans.client import tries_of
from otlp_tracing.sidecar.spans.header_capture import header, header_lines
from otlp_tracing.sidecar.spans.server import status_code

__all__ = ["Recorder"]


class Recorder:
    """The last minutes.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.traces = RecentTraces()
        self.requests = RecentRequests()
        self.routes = RecentRoutes(clock)

    def note(
        self,
        record: LogRecord,
        place: tuple[str, str],
        context: RequestContext,
        outcome: str,
        spans: Sequence[bytes],
        *,
        facts: Facts,
    ) -> None:
        """Take one request over.

        Args:
            record: what Kong logged.
            place: its.
            context: what was decided.
            outcome: as on otlp_tracing_requests_total.
            spans: encoded and redacted, the SERVER span first; none if the trace is not kept.
            facts: of the request's entry.
        """
        now = self._clock()
        status, duration_ms, kept = status_code(record), max(record.latencies.request or 0, 0), bool(spans)
        self.routes.note(now, place, status, duration_ms, kept=kept)
        failed = status >= 500
        if kept and self.traces.admit(now, place, notable=failed or outcome != "sampled"):
            self.traces.add(
                context.trace_id, place, status=status, duration_ms=duration_ms, outcome=outcome, spans=spans
            )
        weight = self.requests.weight(now, failed=failed, kept=kept)
        if weight:
            self.requests.add(_request(now, weight, record, place, context, kept=kept, facts=facts))


def _request(
    now: float,
    weight: int,
    record: LogRecord,
    place: tuple[str, str],
    context: RequestContext,
    *,
    kept: bool,
    facts: Facts,
) -> RecentRequest:
    tries, headers = tries_of(record), record.request.headers
    return RecentRequest(
        arrived=now,
        weight=weight,
        service=place[0],
        route=place[1],
        method=record.request.method,
        path=record.request.uri.partition("?")[0][:MAX_PATH],
        host=header(headers, "host") or "",
        headers={name: header_lines(headers, name) for name in facts.headers},
        status=status_code(record),
        duration_ms=max(record.latencies.request or 0, 0),
        tries=len(tries),
        has_failed_try=any(attempt.state for attempt in tries),
        trace_id=context.trace_id,
        randomness=_explicit_randomness(context.trace_state),
        has_caller=context.parent_span_id is not None,
        caller_sampled=context.sampled if context.decided_by == "parent" else None,
        kept=kept,
        redact=facts.redact,
    )


def _explicit_randomness(state: str) -> str | None:
    return ot_state.read(trace_state.parse([state])).get("rv") if "rv:" in state else None
