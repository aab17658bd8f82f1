"""Spans as the demo sees them arrive, and which of them make a trace.

Pure. Knows the sink's type of spans; knows nothing of the terminal or of the sender of the spans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otlp_tracing_devtools.fake_collector import ReceivedSpan

REQUEST_ID = "kong.request.id"
"""The attribute of the gateway's span that the client has too, as the header X-Kong-Request-Id."""

_KINDS = {
    Span.SPAN_KIND_SERVER: "SERVER",
    Span.SPAN_KIND_CLIENT: "CLIENT",
    Span.SPAN_KIND_PRODUCER: "PRODUCER",
    Span.SPAN_KIND_CONSUMER: "CONSUMER",
}
_MAX_TRACES = 1000  # remembered by a demo that is left running; the oldest are dropped first


@dataclass(frozen=True)
class SeenSpan:
    """One span, with the service it came from.

    Ids are lower-case hex; `parent_span_id` is empty for a root. Attribute values are text.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    service: str
    name: str
    kind: str
    start_unix_ns: int
    end_unix_ns: int
    is_error: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def duration_ms(self) -> float:
        """How long it took; never negative."""
        return max(self.end_unix_ns - self.start_unix_ns, 0) / 1_000_000


def seen(received: ReceivedSpan) -> SeenSpan:
    """Take over a span that the sink received."""
    one = received.span
    return SeenSpan(
        trace_id=received.trace_id,
        span_id=received.span_id,
        parent_span_id=received.parent_span_id,
        service=str(received.resource.get("service.name", "unknown_service")),
        name=one.name,
        kind=_KINDS.get(one.kind, "INTERNAL"),
        start_unix_ns=one.start_time_unix_nano,
        end_unix_ns=one.end_time_unix_nano,
        is_error=one.status.code == Status.STATUS_CODE_ERROR,
        attributes={name: str(value) for name, value in received.attributes.items()},
    )


class TraceBook:
    """The spans that have arrived, by trace."""

    def __init__(self) -> None:
        self._traces: dict[str, dict[str, SeenSpan]] = {}
        self._by_request: dict[str, str] = {}
        self.spans_by_service: Counter[str] = Counter()

    def add(self, spans: Iterable[SeenSpan]) -> None:
        """Take spans over; one that comes twice counts once."""
        for one in spans:
            trace = self._traces.setdefault(one.trace_id, {})
            self.spans_by_service[one.service] += one.span_id not in trace
            trace[one.span_id] = one
            if request_id := one.attributes.get(REQUEST_ID):
                self._by_request[request_id] = one.trace_id
        while len(self._traces) > _MAX_TRACES:
            del self._traces[next(iter(self._traces))]
        while len(self._by_request) > _MAX_TRACES:
            del self._by_request[next(iter(self._by_request))]

    def trace(self, trace_id: str, request_id: str) -> list[SeenSpan]:
        """Give the spans of a trace so far, by its id or, if that is empty, by Kong's id of a request in it."""
        return list(self._traces.get(trace_id or self._by_request.get(request_id, ""), {}).values())


def tree_order(spans: Collection[SeenSpan]) -> list[tuple[int, SeenSpan]]:
    """Give each span once with its depth: parents before children, siblings by start.

    A span without a present parent has depth 0, and so do spans that name each other as parent.
    """
    children: dict[str, list[SeenSpan]] = {}
    known = {one.span_id for one in spans}
    for one in sorted(spans, key=lambda one: one.start_unix_ns, reverse=True):
        children.setdefault(one.parent_span_id if one.parent_span_id in known else "", []).append(one)
    ordered: dict[str, tuple[int, SeenSpan]] = {}
    # The last is taken first: roots by start, then whatever no root leads to.
    waiting = [(0, one) for one in [*(s for siblings in children.values() for s in siblings), *children.get("", [])]]
    while waiting:
        depth, one = waiting.pop()
        if one.span_id not in ordered:
            ordered[one.span_id] = depth, one
            waiting += [(depth + 1, child) for child in children.get(one.span_id, [])]
    return list(ordered.values())


def is_complete(spans: Collection[SeenSpan], services: Collection[str]) -> bool:
    """Say whether nothing of a trace is still to come.

    Each service has answered (a SERVER span ends last in its process), and the only parent that is missing
    is a caller's, above the first.
    """
    answered = {one.service for one in spans if one.kind == "SERVER"}
    known = {one.span_id for one in spans}
    orphans = [one for one in spans if one.parent_span_id not in known]
    return answered >= set(services) and len(orphans) == 1
