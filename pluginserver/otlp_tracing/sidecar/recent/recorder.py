"""Writes down what the page may want to know of a request: an append here, a count there, on every request."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from otlp_tracing.contract.trace_context import RequestContext
from otlp_tracing.decision import ot_state
from otlp_tracing.decision.propagation import trace_state
from otlp_tracing.sidecar.client_spans import tries_of
from otlp_tracing.sidecar.headers import header, header_lines
from otlp_tracing.sidecar.log_record import LogRecord, Route, Service
from otlp_tracing.sidecar.recent.facts import Facts
from otlp_tracing.sidecar.recent.requests import MAX_PATH, RecentRequest, RecentRequests
from otlp_tracing.sidecar.recent.routes import RecentRoutes
from otlp_tracing.sidecar.recent.traces import RecentTraces
from otlp_tracing.sidecar.server_span import status_code

__all__ = ["Recorder"]


class Recorder:
    """The last minutes.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.traces = RecentTraces(clock)
        self.requests = RecentRequests()
        self.routes = RecentRoutes(clock)

    def note(
        self,
        record: LogRecord,
        context: RequestContext,
        outcome: str,
        spans: Sequence[bytes],
        facts: Facts,
    ) -> None:
        """Take one request over.

        Args:
            record: what Kong logged.
            context: what was decided.
            outcome: as on otlp_tracing_requests_total.
            spans: encoded and redacted, the SERVER span first; none if the trace is not kept.
            facts: of the request's entry.
        """
        route = _name(record.service), _name(record.route)
        status, duration_ms, kept = status_code(record), max(record.latencies.request or 0, 0), bool(spans)
        self.routes.note(route, status, duration_ms, kept=kept)
        if kept:
            self.traces.add(
                context.trace_id, route, status=status, duration_ms=duration_ms, outcome=outcome, spans=spans
            )
        tries, sent = tries_of(record), record.request.headers
        self.requests.add(
            RecentRequest(
                self._clock(),
                *route,
                record.request.method,
                record.request.uri.partition("?")[0][:MAX_PATH],
                header(sent, "host") or "",
                {name: header_lines(sent, name) for name in facts.headers},
                status,
                duration_ms,
                len(tries),
                any(attempt.state for attempt in tries),
                context.trace_id,
                _explicit_randomness(context.trace_state),
                context.parent_span_id is not None,
                context.sampled if context.decided_by == "parent" else None,
                kept,
                facts.redact,
            )
        )


def _name(entity: Service | Route | None) -> str:
    return (entity.name or entity.id or "") if entity else ""


def _explicit_randomness(state: str) -> str | None:
    return ot_state.read(trace_state.parse([state])).get("rv") if "rv:" in state else None
