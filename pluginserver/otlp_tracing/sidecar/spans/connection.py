"""The span of a TCP, TLS or UDP connection: SERVER, from the record that Kong's stream subsystem writes at its end.

Nothing propagates a trace over such a connection, so its trace starts here. Its tries are attributes of this one span.
The SNIs of its route are not shown: Kong's router lets a connection with another SNI, or without TLS, match them.

Source: kong/pdk/log.lua (serialize in the stream subsystem) of Kong 3.4.2 and 3.9.3; nginx,
ngx_stream_core_module ($status); semantic conventions 1.44, registry, network and tls.
"""

from __future__ import annotations

from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.ingest.request_record import RequestRecord
from otlp_tracing.sidecar.spans.client_tls import tls_attributes
from otlp_tracing.sidecar.spans.kong_entities import add_entities
from otlp_tracing.sidecar.spans.model import Attributes, SpanRecord, present
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.spans.sampling import sampling_attributes
from otlp_tracing.sidecar.spans.timing import connection_times


def connection_span(
    record: RequestRecord, context: RequestContext, rules: SpanRules, kept_for: str | None = None
) -> SpanRecord:
    """Return the span of a connection; the arguments are those of assemble.assemble()."""
    start_ns, end_ns = connection_times(record.log)
    attributes = _attributes(record)
    if rules.own_attributes is not None:
        attributes.update(rules.own_attributes.attributes(record))
    attributes.update(sampling_attributes(context, kept_for))
    protocol = protocol_of(record)
    return SpanRecord(
        trace_id=context.trace_id,
        span_id=context.span_id,
        parent_span_id=context.parent_span_id,
        name=f"{protocol} {record.route}" if record.route else protocol,
        kind="server",
        start_unix_ns=start_ns,
        end_unix_ns=end_ns,
        attributes=attributes,
        flags=context.flags,
        trace_state=context.trace_state,
        is_error=record.error_type is not None,
    )


def protocol_of(record: RequestRecord) -> str:
    """Return the client's protocol: TCP, TLS (also if Kong passes it through) or UDP."""
    session, route, service = record.log.session, record.log.route, record.log.service
    protocols = route.protocols if route is not None and isinstance(route.protocols, list) else []
    if protocols == ["udp"] or (service is not None and service.protocol == "udp"):
        return "UDP"
    if session is not None and session.tls is not None:
        return "TLS"
    if session is not None and session.server_port:
        return "TCP"  # Kong lets plain text match a route of TLS; only then its record has the port
    is_tls = bool(protocols) and all(one in {"tls", "tls_passthrough"} for one in protocols)
    return "TLS" if is_tls else "TCP"


def shared_attributes(record: RequestRecord) -> Attributes:
    """Return the attributes that the span of a connection and its metrics have in common."""
    protocol = protocol_of(record)
    return present({
        "network.transport": "udp" if protocol == "UDP" else "tcp",
        "kong.connection.protocol": protocol.lower(),
        "kong.connection.status": record.status or None,
        "error.type": record.error_type,
    })  # fmt: skip


def bytes_of(value: float | str | None) -> int | None:
    """Return a number of bytes; None for any other text, a negative number, or no value."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 19 else None
    return int(value) if value is not None and 0 <= value < 1 << 62 else None


def _attributes(record: RequestRecord) -> Attributes:
    log, session = record.log, record.log.session
    assert session is not None
    client = log.client_ip or ""
    last = record.tries[-1] if record.tries else None
    attributes = present({
        **shared_attributes(record),
        "network.type": ("ipv6" if ":" in client else "ipv4") if client else None,
        "client.address": client,
        "server.port": bytes_of(session.server_port) or None,
        "kong.connection.received_bytes": bytes_of(session.received),
        "kong.connection.sent_bytes": bytes_of(session.sent),
        "kong.upstream.address": last.ip if last else None,
        "kong.upstream.port": int(last.port) if last and last.port else None,
        "kong.upstream.tries": len(record.tries),
        "kong.latency.kong_ms": bytes_of(log.latencies.kong),
    })  # fmt: skip
    add_entities(attributes, log)
    if session.tls is not None:
        attributes.update(tls_attributes(session.tls))
    return attributes
