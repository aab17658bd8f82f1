"""The outcome of one request, as its observers get it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.ingest.request_record import RequestRecord
from otlp_tracing.sidecar.route_table import RouteKey

NOT_SAMPLED: Final = "not_sampled"
DROPPED_LATER: Final = "dropped_later"


class RequestOutcome:
    """One request, decided and handed over for export.

    Args:
        entry_key: of the plugin entry.
        entry_name: of the plugin entry.
        worker_id: of the worker that decided; empty if the sidecar did.
        record: the request.
        route: its service and route, within the bound of RouteTable.
        context: the head decision.
        probability: of the trace, with that of a tail rule; None if it is not known.
        kept_for: why the tail decision keeps the trace; None if it does not.
        is_dropped_later: a tail rule drops the trace that the head kept.
        spans: encoded and redacted, the SERVER span first; empty if the trace is not kept.
        log_record: encoded and redacted; empty if the request is not logged.
    """

    __slots__ = (
        "context", "decision", "entry_key", "entry_name", "is_kept", "kept_for", "log_record", "probability", "record",
        "route", "spans", "worker_id",
    )  # fmt: skip
    is_kept: Final[bool]
    """The trace is exported."""
    decision: str
    """`parent`, `policy`, `rule`, `rate`, `budget`, `load` (the head kept it), `error`, `retry`, `slow`, `status`,
    `rare`, `tail_rule` (the tail kept it), `not_sampled` or `dropped_later` (the head kept it, and a tail rule did
    not): the words of the metrics, of the span attribute and of the page."""

    def __init__(
        self,
        entry_key: bytes,
        entry_name: str,
        worker_id: bytes,
        *,
        record: RequestRecord,
        route: RouteKey,
        context: RequestContext,
        probability: float | None,
        kept_for: str | None,
        is_dropped_later: bool = False,
        spans: Sequence[bytes],
        log_record: bytes = b"",
    ) -> None:
        self.entry_key: Final = entry_key
        self.entry_name: Final = entry_name
        self.worker_id: Final = worker_id
        self.record: Final = record
        self.route: Final = route
        self.context: Final = context
        self.probability: Final = probability
        self.kept_for: Final = kept_for
        self.spans: Final = spans
        self.log_record: Final = log_record
        self.is_kept = kept_for is not None or (context.sampled and not is_dropped_later)
        if kept_for is not None:
            self.decision = kept_for
        elif is_dropped_later:
            self.decision = DROPPED_LATER
        elif context.sampled:
            # A record of a worker before `decided_by` was there, or one that a log plugin changed, may lack it.
            self.decision = context.decided_by or "rate"
        else:
            self.decision = NOT_SAMPLED


class OutcomeObserver(Protocol):
    """Is told of every request."""

    def observe(self, outcome: RequestOutcome) -> None:
        """Count or record one request."""
