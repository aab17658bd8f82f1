"""From a request to its spans: one SERVER span, one CLIENT span a try of the balancer.

Pure. Joins the parts: times (timing.py), attributes (server.py, client.py), gRPC (grpc.py). INTERNAL spans show the
time before the first try and other parts of the request (intervals.py) where they are long.

Source: OpenTelemetry semantic conventions 1.44, docs/http/http-spans.md; kong/pdk/log.lua.
"""

from __future__ import annotations

import hashlib

from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.ingest.request_record import RequestRecord, line
from otlp_tracing.sidecar.spans.client import client_attributes
from otlp_tracing.sidecar.spans.connection import connection_span
from otlp_tracing.sidecar.spans.grpc import Call, grpc_call
from otlp_tracing.sidecar.spans.intervals import LONG_NS, Interval, long_connects, long_phases
from otlp_tracing.sidecar.spans.model import Attributes, Kind, SharedAttributes, SpanRecord, present
from otlp_tracing.sidecar.spans.request_debug import debug_intervals
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.spans.sampling import sampling_attributes
from otlp_tracing.sidecar.spans.server import route_of, server_attributes
from otlp_tracing.sidecar.spans.timing import SpanTimes, span_times

# More than the tries that Kong makes, 32,768 at most, so that no try has the same derived id.
_BEFORE_UPSTREAM = 0xFFFF
_INTERVALS = 0xF000


def assemble(
    record: RequestRecord, context: RequestContext, rules: SpanRules, kept_for: str | None = None
) -> list[SpanRecord]:
    """Return the spans of one request, the SERVER span first; the one span of a connection.

    Args:
        record: of the request.
        context: of the request; its ids become the spans'.
        rules: of the plugin entry.
        kept_for: why the trace is kept after the response; None if the head decision keeps it.
    """
    if record.log.session is not None:
        return [connection_span(record, context, rules, kept_for)]
    times = span_times(record.log, record.tries)
    spans = [_server_span(record, context, rules, times, kept_for)]
    if times.tries:
        if times.tries[0][0] - times.start_ns >= LONG_NS:
            spans.append(_time_before_upstream(record, context, times))
        _add_client_spans(spans, record, context, rules, times)
    intervals: list[Interval] = []
    if record.known_response_headers.debug_output is not None:
        intervals = debug_intervals(line(record.known_response_headers.debug_output) or "", times)
    if record.nginx is not None:
        if not intervals:  # the debug output has the phases too
            intervals = long_phases(record.nginx, times)
        intervals += long_connects(record.nginx, times)
    spans += _internal_spans(intervals, context, len(times.tries) - 1)
    return spans


def request_attributes(
    record: RequestRecord, context: RequestContext, rules: SpanRules
) -> tuple[Attributes, SharedAttributes | None]:
    """Return the attributes of the SERVER span, and those that it shares; the arguments are those of assemble()."""
    if record.log.session is not None:
        span = connection_span(record, context, rules)
        return span.attributes, span.shared  # not None: mypyc 2.4 frees the attributes of a pair with a literal None
    attributes, shared = server_attributes(record, route_of(record, rules.names), _received_call(record, rules), rules)
    _add_context(attributes, context)
    return attributes, shared


def _server_span(
    record: RequestRecord, context: RequestContext, rules: SpanRules, times: SpanTimes, kept_for: str | None
) -> SpanRecord:
    route, call = route_of(record, rules.names), _received_call(record, rules)
    attributes, shared = server_attributes(record, route, call, rules)
    _add_context(attributes, context, kept_for)
    name = call.span_name if call else rules.methods.name(record.method)
    if route and call is None:
        name = f"{name} {route}"
    if rules.span_name is not None:
        name = rules.span_name.text(attributes, rules.methods.name(record.method)) or name
    return SpanRecord(
        trace_id=context.trace_id,
        span_id=context.span_id,
        parent_span_id=context.parent_span_id,
        name=name,
        kind="server",
        start_unix_ns=times.start_ns,
        end_unix_ns=times.end_ns,
        attributes=attributes,
        flags=context.flags,
        trace_state=context.trace_state,
        is_error=record.error_type is not None,
        links=(context.link,) if context.link else (),
        shared=shared,
    )


def _add_context(attributes: Attributes, context: RequestContext, kept_for: str | None = None) -> None:
    attributes.update(sampling_attributes(context, kept_for))
    for name, value in context.baggage:
        attributes[f"baggage.{name}"] = value


def _received_call(record: RequestRecord, rules: SpanRules) -> Call | None:
    return grpc_call(record, record.received_call, rules.names) if record.received_call is not None else None


def _add_client_spans(
    spans: list[SpanRecord], record: RequestRecord, context: RequestContext, rules: SpanRules, times: SpanTimes
) -> None:
    call = grpc_call(record, record.sent_call, rules.names) if record.sent_call is not None else None
    name = call.span_name if call else rules.methods.name(record.sent_method)
    last = len(times.tries) - 1
    tries, shared = client_attributes(record, call, rules)
    for number, attributes in enumerate(tries):
        start_ns, end_ns = times.tries[number]
        span_id, is_error = _try_id(context, number, last), "error.type" in attributes
        spans.append(
            _span(context, span_id, context.span_id, name, "client", start_ns, end_ns, attributes, is_error, shared)
        )


def _time_before_upstream(record: RequestRecord, context: RequestContext, times: SpanTimes) -> SpanRecord:
    route, service = record.log.route, record.log.service
    attributes = present({
        "kong.route.name": route.name if route else None,
        "kong.service.name": service.name if service else None,
    })  # fmt: skip
    span_id, name = _derived_id(context, _BEFORE_UPSTREAM), "kong.before_upstream"
    return _span(context, span_id, context.span_id, name, "internal", times.start_ns, times.tries[0][0], attributes)


def _internal_spans(intervals: list[Interval], context: RequestContext, last_try: int) -> list[SpanRecord]:
    spans: list[SpanRecord] = []
    for number, one in enumerate(intervals):
        if one.within is not None:
            parent = spans[one.within].span_id
        elif one.attempt is not None:
            parent = _try_id(context, one.attempt, last_try)
        else:
            parent = context.span_id
        span_id = _derived_id(context, _INTERVALS + number)
        spans.append(_span(context, span_id, parent, one.name, "internal", one.start_ns, one.end_ns, one.attributes))
    return spans


def _span(  # noqa: PLR0917 - the fields that differ
    context: RequestContext,
    span_id: bytes,
    parent_id: bytes,
    name: str,
    kind: Kind,
    start_ns: int,
    end_ns: int,
    attributes: Attributes,
    is_error: bool = False,
    shared: SharedAttributes | None = None,
) -> SpanRecord:
    """Return a span below the SERVER span of its trace."""
    return SpanRecord(
        context.trace_id,
        span_id,
        parent_id,
        name,
        kind,
        start_ns,
        end_ns,
        attributes,
        context.flags,
        context.trace_state,
        is_error,
        (),
        shared,
    )


def _try_id(context: RequestContext, number: int, last: int) -> bytes:
    return context.upstream_span_id if number == last else _derived_id(context, number)


def _derived_id(context: RequestContext, number: int) -> bytes:
    # Derived, not random: a record that is handed over twice gives the same spans.
    return hashlib.blake2b(context.upstream_span_id, digest_size=8, salt=number.to_bytes(2, "big")).digest()
