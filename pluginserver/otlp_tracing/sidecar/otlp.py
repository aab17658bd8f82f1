"""Spans as OTLP messages, built on the generated classes directly.

That costs a third of what the SDK's encoder does for the same bytes; the tests hold the two equal.

Source: opentelemetry-proto, opentelemetry/proto/trace/v1/trace.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, SpanFlags, Status

from otlp_tracing import __version__
from otlp_tracing.contract.trace_context import SpanContext
from otlp_tracing.sidecar.span_record import AttributeValue, SpanRecord

__all__ = ["SCHEMA_URL", "encode_resource", "encode_span", "request"]

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

_SCOPE = InstrumentationScope(name="otlp_tracing", version=__version__)
_KINDS: Mapping[str, Span.SpanKind.ValueType] = {
    "server": Span.SPAN_KIND_SERVER,
    "client": Span.SPAN_KIND_CLIENT,
    "internal": Span.SPAN_KIND_INTERNAL,
}
_ERROR = Status(code=Status.STATUS_CODE_ERROR)


def encode_span(span: SpanRecord) -> Span:
    """Encode one span.

    Raises:
        ValueError, TypeError: for a value that protobuf cannot hold, such as a lone surrogate.
    """
    return Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id or b"",
        trace_state=span.trace_state,
        flags=_flags(span),
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.start_unix_ns,
        end_time_unix_nano=span.end_unix_ns,
        attributes=_key_values(span.attributes),
        status=_ERROR if span.is_error else None,
        links=[_link(linked) for linked in span.links],
    )


def encode_resource(attributes: Mapping[str, AttributeValue]) -> Resource:
    """Encode a resource."""
    return Resource(attributes=_key_values(attributes))


def request(resource: Resource, spans: Iterable[Span]) -> ExportTraceServiceRequest:
    """Put a batch together."""
    scope_spans = ScopeSpans(scope=_SCOPE, spans=spans, schema_url=SCHEMA_URL)
    return ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope_spans])])


def _link(linked: SpanContext) -> Span.Link:
    # What we link to came in a header: a span of another process.
    remote = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
    return Span.Link(
        trace_id=linked.trace_id,
        span_id=linked.span_id,
        trace_state=linked.trace_state,
        flags=linked.flags & SpanFlags.SPAN_FLAGS_TRACE_FLAGS_MASK | remote,
    )


def _flags(span: SpanRecord) -> int:
    flags = span.flags & SpanFlags.SPAN_FLAGS_TRACE_FLAGS_MASK | SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
    if span.kind == "server" and span.parent_span_id:
        flags |= SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
    return flags


def _key_values(attributes: Mapping[str, AttributeValue]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in attributes.items()]


def _any_value(value: AttributeValue) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=[_any_value(item) for item in value]))
