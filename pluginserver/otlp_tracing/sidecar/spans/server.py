"""The SERVER span's attributes: the client's request, its answer, and Kong's own facts (`kong.*`).

A value that the record does not have is left out.

Source: OpenTelemetry semantic conventions 1.44, docs/http/http-spans.md; kong/pdk/log.lua.
"""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.request_record import RequestRecord
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.client_tls import tls_attributes
from otlp_tracing.sidecar.spans.gen_ai import gen_ai_attributes
from otlp_tracing.sidecar.spans.grpc import Call
from otlp_tracing.sidecar.spans.http_route import http_route
from otlp_tracing.sidecar.spans.kong_entities import add_configured, add_consumer
from otlp_tracing.sidecar.spans.legacy_semconv import server_names
from otlp_tracing.sidecar.spans.model import Attributes, SharedAttributes, add_number, add_text, present
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.spans.server_address import server_address


def server_attributes(
    record: RequestRecord, route: str | None, call: Call | None, rules: SpanRules
) -> tuple[Attributes, SharedAttributes]:
    """Return the SERVER span's attributes, and those of them that it shares with others, which are the first.

    Args:
        record: of the request.
        route: of route_of.
        call: the gRPC call that the request is, if it is one.
        rules: of the plugin entry.
    """
    log, nginx = record.log, record.nginx
    request, latencies = log.request, log.latencies
    shared = _shared_attributes(record, route, rules)
    attributes = shared.attributes.copy()
    add_text(attributes, "url.path", record.path)
    add_text(attributes, "url.query", record.query)
    add_text(attributes, "client.address", log.client_ip)
    add_text(attributes, "user_agent.original", record.user_agent)
    version = nginx.protocol_version if nginx is not None else None
    add_text(attributes, "network.protocol.version", version or protocol_version(record, call))
    add_text(attributes, "error.type", record.error_type)
    add_text(attributes, "kong.request.id", request.id)
    add_consumer(attributes, log)
    add_number(attributes, "http.request.size", request.size)
    add_number(attributes, "http.response.size", log.response.size)
    add_number(attributes, "kong.latency.kong_ms", latencies.kong)
    add_number(attributes, "kong.latency.proxy_ms", latencies.proxy)
    add_number(attributes, "kong.latency.receive_ms", latencies.receive)
    if request.tls is not None:
        attributes.update(tls_attributes(request.tls))
    if nginx is not None:
        attributes.update(nginx.attributes)
        for phase, duration in nginx.phase_ms.items():
            attributes[f"kong.latency.{phase}_ms"] = int(duration)
    if call is not None:
        attributes.update(present({**call.attributes(), "rpc.response.status_code": call.status}))
    if rules.request_headers is not None:
        attributes.update(rules.request_headers.attributes(record.request_headers))
    if rules.response_headers is not None:
        attributes.update(rules.response_headers.attributes(record.response_headers))
    if log.ai is not None and not record.tries:
        attributes.update(gen_ai_attributes(record, rules))
    if rules.own_attributes is not None:
        attributes.update(rules.own_attributes.attributes(record))
    if rules.old_names:
        attributes.update(server_names(attributes))
    return attributes, shared


def _shared_attributes(record: RequestRecord, template: str | None, rules: SpanRules) -> SharedAttributes:
    log = record.log
    route, service = log.route, log.service
    scheme, address, port = server_address(record)
    key = (
        record.method,
        scheme,
        template,
        address,
        port,
        record.status,
        record.source,
        (route.id, route.name) if route is not None else None,
        (service.id, service.name) if service is not None else None,
        log.workspace,
        log.workspace_name,
    )
    shared = rules.shared.get(key)
    if shared is None:
        attributes = rules.methods.attributes(record.method)
        attributes["url.scheme"] = scheme
        add_text(attributes, "http.route", template)
        add_text(attributes, "server.address", address)
        if port is not None:
            attributes["server.port"] = port
        if record.status:
            attributes["http.response.status_code"] = record.status
        add_configured(attributes, log)
        add_text(attributes, "kong.response.source", record.source)
        shared = rules.shared.add(key, attributes)
    return shared


def route_of(record: RequestRecord, names: CardinalityLimit) -> str | None:
    """Return the template of the route that matched; None without one, or past the bound on names."""
    route, service = record.log.route, record.log.service
    if route is None:
        return None
    template = http_route(route, record.path)
    owner = service.id if service and service.id else ""
    return template if template and names.admit("http.route", owner, template) else None


def protocol_version(record: RequestRecord, call: Call | None) -> str | None:
    """Return the version of HTTP if it is known; Kong's record does not have it.

    A connection can be switched in HTTP/1.1 only (RFC 9110, 15.2.2), gRPC is spoken over HTTP/2 only.
    """
    if record.status == 101:
        return "1.1"
    return "2" if call is not None and record.source == "upstream" else None
