"""Spans as the tests compare them, whatever took them in: a collector's file or the sink in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from e2e.waiting import wait_for
from otlp_tracing_devtools.fake_collector import ReceivedSpan, ThreadedOtlpSink

_SECONDS = 20.0
_BEFORE_UPSTREAM_FROM_NS = 100_000_000  # docs/decisions/0008: from here on Kong's own time is a span

CLIENT, SERVER = Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER


@dataclass(frozen=True)
class SeenSpan:
    """One span with its resource and its scope."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: int
    is_error: bool
    flags: int
    trace_state: str
    start_unix_ns: int
    end_unix_ns: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: tuple[str, str]
    schema_url: str = ""


class SpanSource(Protocol):
    """Something that spans arrive at."""

    def spans(self) -> list[SeenSpan]:
        """Return all that have arrived."""


class SinkReader:
    """The sink as a SpanSource."""

    def __init__(self, sink: ThreadedOtlpSink) -> None:
        self._sink = sink

    def spans(self) -> list[SeenSpan]:
        """Return all that have arrived."""
        return [_from_received(span) for request in self._sink.sink.requests for span in request.spans()]


def trace(source: SpanSource, trace_id: str) -> list[SeenSpan]:
    """Return the spans of a trace, the SERVER span first, tries in their order.

    The span of Kong's time before the upstream is left out: any pause of a machine as long as that adds it.
    """
    found = [span for span in whole_trace(source, trace_id) if not _is_slowness(span)]
    return sorted(found, key=lambda span: (span.kind, span.attributes.get("http.request.resend_count", 0)))


def whole_trace(source: SpanSource, trace_id: str) -> list[SeenSpan]:
    """Return every span of a trace, in the order of their arrival."""
    return [span for span in source.spans() if span.trace_id == trace_id]


def wait_for_trace(source: SpanSource, trace_id: str, count: int = 2, seconds: float = _SECONDS) -> list[SeenSpan]:
    """Wait for that many spans of a trace, and return all there are, as `trace` does."""

    def complete() -> list[SeenSpan] | None:
        found = trace(source, trace_id)
        return found if len(found) >= count else None

    found = wait_for(complete, seconds, f"{count} spans of trace {trace_id}")
    assert found
    return found


def _is_slowness(span: SeenSpan) -> bool:
    return (span.name, span.kind) == (
        "kong.before_upstream",
        Span.SPAN_KIND_INTERNAL,
    ) and span.end_unix_ns - span.start_unix_ns >= _BEFORE_UPSTREAM_FROM_NS


def from_otlp_json(message: Mapping[str, Any]) -> list[SeenSpan]:
    """Read an export request in OTLP's JSON encoding: ids are hexadecimal, 64-bit numbers are strings."""
    seen = []
    for resource_spans in message["resourceSpans"]:
        resource = _attributes(resource_spans.get("resource", {}))
        for scope_spans in resource_spans["scopeSpans"]:
            scope = scope_spans.get("scope", {})
            seen += [
                _from_json(span, resource, (scope.get("name", ""), scope.get("version", "")), scope_spans)
                for span in scope_spans["spans"]
            ]
    return seen


def _from_json(
    span: Mapping[str, Any], resource: Mapping[str, Any], scope: tuple[str, str], around: Mapping[str, Any]
) -> SeenSpan:
    return SeenSpan(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_span_id=span.get("parentSpanId", ""),
        name=span["name"],
        kind=span["kind"],
        is_error=span.get("status", {}).get("code") == 2,
        flags=span.get("flags", 0),
        trace_state=span.get("traceState", ""),
        start_unix_ns=int(span["startTimeUnixNano"]),
        end_unix_ns=int(span["endTimeUnixNano"]),
        attributes=_attributes(span),
        resource=resource,
        scope=scope,
        schema_url=around.get("schemaUrl", ""),
    )


def _attributes(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {attribute["key"]: _value(attribute["value"]) for attribute in holder.get("attributes", ())}


def _value(value: Mapping[str, Any]) -> Any:
    kind, plain = next(iter(value.items()))
    if kind == "arrayValue":
        return [_value(item) for item in plain.get("values", ())]
    return int(plain) if kind == "intValue" else plain


def _from_received(received: ReceivedSpan) -> SeenSpan:
    span = received.span
    return SeenSpan(
        trace_id=received.trace_id,
        span_id=received.span_id,
        parent_span_id=received.parent_span_id,
        name=span.name,
        kind=span.kind,
        is_error=span.status.code == 2,
        flags=span.flags,
        trace_state=span.trace_state,
        start_unix_ns=span.start_time_unix_nano,
        end_unix_ns=span.end_time_unix_nano,
        attributes=received.attributes,
        resource=received.resource,
        scope=(received.scope.name, received.scope.version),
    )
