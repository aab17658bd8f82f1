"""A plugin entry, as the steps of a record use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otlp_tracing.config.settings import Keep
from otlp_tracing.sampling.head import RequestTracer
from otlp_tracing.sidecar.access_logs.access_log import AccessLog
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.redaction.redactor import Redactor
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.tail.rules import TailRules


@dataclass(frozen=True, slots=True)
class Entry:
    """A plugin entry, ready for its records.

    Args:
        name: Kong's id of it.
        scope: ids of its route and its service; entry_identity.entry_scope.
        tracer: decides for requests that `access` did not see.
        rules: of its spans.
        keep: of its tail decision.
        tail_rules: likewise.
        redactor: of its spans.
        destination: of its spans.
        log: its access log and the destination of that; None if it logs nothing.
        reads_whole: its log, its metrics or a rule need more of each record than the outline.
        left_out: the faults of its parts that are left out.
    """

    name: str
    scope: tuple[str, str]
    tracer: RequestTracer
    rules: SpanRules
    keep: Keep
    tail_rules: TailRules
    redactor: Redactor
    destination: Destination
    log: tuple[AccessLog, Destination] | None
    reads_whole: bool
    left_out: Sequence[str]
