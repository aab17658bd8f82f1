"""From a log record to spans: one SERVER span a request, one CLIENT span a try of the balancer.

Pure. Puts the parts together: times (span_times.py), attributes (server_span.py, client_spans.py), gRPC
(rpc.py). An INTERNAL span shows the time before the first try where that is long.

Source: OpenTelemetry semantic conventions 1.44, docs/http/http-spans.md; kong/pdk/log.lua.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.ingest.log_record import LogRecord
from otlp_tracing.sidecar.spans.client import client_attributes, response_source, tries_of
from otlp_tracing.sidecar.spans.grpc import received_call, sent_call
from otlp_tracing.sidecar.spans.model import AttributeValue, SpanRecord, present
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.spans.server import route_of, server_attributes
from otlp_tracing.sidecar.spans.timing import SpanTimes, span_times
from otlp_tracing.sidecar.tail.decision import sampling_attributes

__all__ = ["assemble"]

# Kong's own part is some milliseconds (kong.latency.kong_ms says how many). From a tenth of a second on, the
# gap before the upstream was called is what a reader of the trace asks about.
_LONG_NS = 100_000_000
_BEFORE_UPSTREAM = 0xFFFF  # more tries than Kong makes, so that no try's id is derived alike


def assemble(
    record: LogRecord, context: RequestContext, rules: SpanRules, kept_for: str | None = None
) -> list[SpanRecord]:
    """Make the spans of one request, the SERVER span first.

    Args:
        record: what Kong logged.
        context: what was decided for the request; its ids become the spans'.
        rules: of the plugin entry.
        kept_for: why the trace is kept after the response; None where the head decision keeps it.
    """
    source = response_source(record)
    times = span_times(record, tries_of(record))
    why = sampling_attributes(context, kept_for)
    return [
        _server_span(record, context, rules, source, times, why=why),
        *_time_before_upstream(record, context, times),
        *_client_spans(record, context, rules, source, times),
    ]


def _server_span(
    record: LogRecord,
    context: RequestContext,
    rules: SpanRules,
    source: str,
    times: SpanTimes,
    *,
    why: Mapping[str, AttributeValue],
) -> SpanRecord:
    route, call = route_of(record, rules.names), received_call(record, rules.names)
    attributes = {**server_attributes(record, source, route, call, rules), **why}
    if context.baggage:
        attributes.update(rules.baggage(context.baggage))
    name = rules.methods.name(record.request.method)
    return SpanRecord(
        trace_id=context.trace_id,
        span_id=context.span_id,
        parent_span_id=context.parent_span_id,
        name=call.span_name if call else f"{name} {route}" if route else name,
        kind="server",
        start_unix_ns=times.start_ns,
        end_unix_ns=times.end_ns,
        attributes=attributes,
        flags=context.flags,
        trace_state=context.trace_state,
        is_error="error.type" in attributes,
        links=(context.link,) if context.link else (),
    )


def _client_spans(
    record: LogRecord, context: RequestContext, rules: SpanRules, source: str, times: SpanTimes
) -> Iterator[SpanRecord]:
    if not times.tries:
        return
    call = sent_call(record, rules.names)
    name = call.span_name if call else rules.methods.name(record.request.method)
    last = len(times.tries) - 1
    for number, attributes in enumerate(client_attributes(record, source, call, rules)):
        start_ns, end_ns = times.tries[number]
        yield SpanRecord(
            trace_id=context.trace_id,
            span_id=context.upstream_span_id if number == last else _derived_id(context, number),
            parent_span_id=context.span_id,
            name=name,
            kind="client",
            start_unix_ns=start_ns,
            end_unix_ns=end_ns,
            attributes=attributes,
            flags=context.flags,
            trace_state=context.trace_state,
            is_error="error.type" in attributes,
        )


def _time_before_upstream(record: LogRecord, context: RequestContext, times: SpanTimes) -> Iterator[SpanRecord]:
    if not times.tries or times.tries[0][0] - times.start_ns < _LONG_NS:
        return
    route, service = record.route, record.service
    yield SpanRecord(
        trace_id=context.trace_id,
        span_id=_derived_id(context, _BEFORE_UPSTREAM),
        parent_span_id=context.span_id,
        name="kong.before_upstream",
        kind="internal",
        start_unix_ns=times.start_ns,
        end_unix_ns=times.tries[0][0],
        attributes=present({
            "kong.route.name": route.name if route else None,
            "kong.service.name": service.name if service else None,
        }),
        flags=context.flags,
        trace_state=context.trace_state,
        is_error=False,
    )  # fmt: skip


def _derived_id(context: RequestContext, number: int) -> bytes:
    # Derived, not drawn: a record that is handed over twice gives the same spans.
    return hashlib.blake2b(context.upstream_span_id, digest_size=8, salt=number.to_bytes(2, "big")).digest()
