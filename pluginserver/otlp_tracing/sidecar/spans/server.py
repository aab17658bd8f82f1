"""What the SERVER span says: the client's request, the answer it got, and what only Kong knows (`kong.*`).

Knows nothing of tries and times. A value that the record does not have is left out.

Source: OpenTelemetry semantic conventions 1.44, docs/http/http-spans.md; kong/pdk/log.lua.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from otlp_tracing.sidecar.ingest.log_record import LogRecord
from otlp_tracing.sidecar.spans.cardinality import NameGuard
from otlp_tracing.sidecar.spans.client_tls import tls_attributes
from otlp_tracing.sidecar.spans.grpc import Call, server_error
from otlp_tracing.sidecar.spans.header_capture import header
from otlp_tracing.sidecar.spans.http_route import http_route
from otlp_tracing.sidecar.spans.legacy_semconv import server_names
from otlp_tracing.sidecar.spans.model import Attributes, AttributeValue, present
from otlp_tracing.sidecar.spans.rules import SpanRules

__all__ = ["error_type", "protocol_version", "route_of", "server_attributes", "status_code"]

DEFAULT_PORTS = {"http": 80, "https": 443}


def server_attributes(
    record: LogRecord, source: str, route: str | None, call: Call | None, rules: SpanRules
) -> Attributes:
    """Return the SERVER span's attributes.

    Args:
        record: of the request.
        source: who answered, "upstream" or "kong".
        route: as route_of has it.
        call: the gRPC call that the request is, if it is one.
        rules: of the plugin entry.
    """
    attributes = present({
        **_http_attributes(record, route, rules),
        "http.response.status_code": status_code(record) or None,
        "network.protocol.version": protocol_version(record, source, call),
        "error.type": error_type(record),
        **_kong_attributes(record, source),
    })  # fmt: skip
    if record.request.tls is not None:
        attributes.update(tls_attributes(record.request.tls))
    if call is not None:
        attributes.update(present({**call.attributes(), "rpc.response.status_code": call.status}))
    attributes.update(rules.request_headers.attributes(record.request.headers))
    attributes.update(rules.response_headers.attributes(record.response.headers))
    if rules.old_names:
        attributes.update(server_names(attributes))
    return attributes


def route_of(record: LogRecord, names: NameGuard) -> str | None:
    """Return the template of the route that matched; None without one, or past the bound on names."""
    route = record.route
    if route is None or not isinstance(route.paths, list):
        return None
    template = http_route(route.paths, record.request.uri.partition("?")[0])
    owner = record.service.id if record.service and record.service.id else ""
    return template if template and names.admit("http.route", owner, template) else None


def status_code(record: LogRecord) -> int:
    """Return the status that the client got, 0 where the record has none."""
    return int(record.response.status or 0)


def error_type(record: LogRecord) -> str | None:
    """Return why a request is an error, None if it is none: a gRPC status that is the server's fault, or a 5xx."""
    error = server_error(record)
    if error is None:
        status = status_code(record)
        error = str(status) if status >= 500 else None
    return error


def protocol_version(record: LogRecord, source: str, call: Call | None) -> str | None:
    """Return the version of HTTP, where it can be told: Kong's record does not have it.

    A connection can be switched in HTTP/1.1 only (RFC 9110, 15.2.2), gRPC is spoken over HTTP/2 only.
    """
    if status_code(record) == 101:
        return "1.1"
    return "2" if call is not None and source == "upstream" else None


def _http_attributes(record: LogRecord, route: str | None, rules: SpanRules) -> dict[str, AttributeValue | None]:
    request = record.request
    path, _, query_string = request.uri.partition("?")
    scheme, _, rest = request.url.partition("://")
    scheme = scheme or "http"
    address, port = _host_and_port(header(request.headers, "host") or rest.partition("/")[0], scheme)
    return {
        **rules.methods.attributes(request.method),
        "url.scheme": scheme,
        "url.path": path,
        "url.query": query_string,
        "http.route": route,
        "http.request.size": _count(request.size),
        "http.response.size": _count(record.response.size),
        "server.address": address,
        "server.port": port,
        "client.address": record.client_ip,
        "user_agent.original": header(request.headers, "user-agent"),
    }


def _kong_attributes(record: LogRecord, source: str) -> dict[str, AttributeValue | None]:
    route, service, consumer, latencies = record.route, record.service, record.consumer, record.latencies
    return {
        "kong.request.id": record.request.id,
        "kong.route.id": route.id if route else None,
        "kong.route.name": route.name if route else None,
        "kong.service.id": service.id if service else None,
        "kong.service.name": service.name if service else None,
        "kong.consumer.id": consumer.id if consumer else None,
        "kong.consumer.username": consumer.username if consumer else None,
        "kong.workspace.id": record.workspace,
        "kong.workspace.name": record.workspace_name,
        "kong.response.source": source,
        "kong.latency.kong_ms": _count(latencies.kong),
        "kong.latency.proxy_ms": _count(latencies.proxy),
        "kong.latency.receive_ms": _count(latencies.receive),
    }


@lru_cache(maxsize=1024)  # hosts of a gateway; a client that makes hosts up costs a parse each, as without it
def _host_and_port(authority: str, scheme: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(f"//{authority}")
        return parts.hostname, parts.port or DEFAULT_PORTS.get(scheme)
    except ValueError:  # a Host header can be anything
        return None, None


def _count(value: float | None) -> int | None:
    return int(value) if value is not None and value >= 0 else None
