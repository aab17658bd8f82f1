"""From a log record to spans: one SERVER span a request, one CLIENT span a try of the balancer.

Pure. Attributes follow the stable HTTP conventions; what only Kong knows stands under `kong.*`.
Times come from Kong: the request's in milliseconds, a try's start in microseconds. A try ends where the
next begins, the last one with the request, since Kong says no more.

Source: OpenTelemetry semantic conventions 1.44, docs/http/http-spans.md; kong/pdk/log.lua.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from urllib.parse import urlsplit

from otlp_tracing.contract.trace_context import RequestContext
from otlp_tracing.sidecar.log_record import LogRecord, Try
from otlp_tracing.sidecar.redaction.query import QueryRedactor
from otlp_tracing.sidecar.route import matched_path
from otlp_tracing.sidecar.span_record import AttributeValue, SpanRecord

__all__ = ["assemble"]

Attributes = dict[str, AttributeValue]

_KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HTTP_SCHEMES = {"grpc": "http", "grpcs": "https", "ws": "http", "wss": "https"}
_MS = 1_000_000
# What nginx counts a try as that got no response. Another code with the state "failed" is an answer that
# proxy_next_upstream calls for another try on (nginx, ngx_http_upstream_next).
_NO_RESPONSE: Mapping[float | None, str] = {502: "connection_error", 504: "timeout"}


def assemble(record: LogRecord, context: RequestContext, query: QueryRedactor) -> list[SpanRecord]:
    """Make the spans of one request, the SERVER span first.

    Args:
        record: what Kong logged.
        context: what was decided for the request; its ids become the spans'.
        query: redacts query strings.
    """
    starts = [_try_start_ns(attempt) for attempt in _tries(record)]
    start_ns = int((record.started_at or 0) * _MS)
    # Milliseconds are cut off, not rounded: a try that began later than the request ended by them did not.
    end_ns = max(start_ns + int(max(record.latencies.request or 0, 0) * _MS), start_ns, *starts)
    server = SpanRecord(
        trace_id=context.trace_id,
        span_id=context.span_id,
        parent_span_id=context.parent_span_id,
        name=_server_name(record),
        kind="server",
        start_unix_ns=start_ns,
        end_unix_ns=end_ns,
        attributes=_server_attributes(record, query),
        flags=context.flags,
        trace_state=context.trace_state,
        is_error=_status(record) >= 500,
    )
    return [server, *_try_spans(record, context, query, server, starts)]


def _try_spans(
    record: LogRecord,
    context: RequestContext,
    query: QueryRedactor,
    server: SpanRecord,
    starts: list[int],
) -> list[SpanRecord]:
    tries = _tries(record)
    statuses = _upstream_statuses(record, len(tries))
    shared = _upstream_attributes(record, query)
    spans = []
    for number, attempt in enumerate(tries):
        is_last = number == len(tries) - 1
        start_ns = max(starts[number], server.start_unix_ns)
        end_ns = server.end_unix_ns if is_last else max(starts[number + 1], start_ns)
        outcome = _try_outcome(attempt, statuses[number])
        spans.append(
            SpanRecord(
                trace_id=context.trace_id,
                span_id=context.upstream_span_id if is_last else _earlier_try_id(context, number),
                parent_span_id=context.span_id,
                name=_method_name(record),
                kind="client",
                start_unix_ns=start_ns,
                end_unix_ns=max(end_ns, start_ns),
                attributes={**shared, **_try_attributes(attempt, number), **outcome},
                flags=context.flags,
                trace_state=context.trace_state,
                is_error="error.type" in outcome,
            )
        )
    return spans


def _earlier_try_id(context: RequestContext, number: int) -> bytes:
    # Derived, not drawn: a record that is handed over twice gives the same spans.
    return hashlib.blake2b(context.upstream_span_id, digest_size=8, salt=number.to_bytes(2, "big")).digest()


def _server_name(record: LogRecord) -> str:
    route = _http_route(record)
    return f"{_method_name(record)} {route}" if route else _method_name(record)


def _method_name(record: LogRecord) -> str:
    return record.request.method if record.request.method in _KNOWN_METHODS else "HTTP"


def _server_attributes(record: LogRecord, query: QueryRedactor) -> Attributes:
    request = record.request
    path, _, query_string = request.uri.partition("?")
    scheme = request.url.partition("://")[0] or "http"
    address, port = _host_and_port(_header(request.headers, "host"), scheme, request.url)
    status = _status(record)
    return _present({
        **_method_attributes(request.method),
        "url.scheme": scheme,
        "url.path": path,
        "url.query": query.redact(query_string),
        "http.route": _http_route(record),
        "http.response.status_code": status,
        "error.type": str(status) if status >= 500 else None,
        "server.address": address,
        "server.port": port,
        "client.address": record.client_ip,
        "user_agent.original": _header(request.headers, "user-agent"),
        **_kong_attributes(record),
    })  # fmt: skip


def _kong_attributes(record: LogRecord) -> dict[str, AttributeValue | None]:
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
        "kong.response.source": _response_source(record),
        "kong.latency.kong_ms": _milliseconds(latencies.kong),
        "kong.latency.proxy_ms": _milliseconds(latencies.proxy),
        "kong.latency.receive_ms": _milliseconds(latencies.receive),
    }


def _upstream_attributes(record: LogRecord, query: QueryRedactor) -> Attributes:
    service = record.service
    host, port = (service.host, service.port) if service else (None, None)
    return _present({
        **_method_attributes(record.request.method),
        "server.address": host,
        "server.port": int(port) if port else None,
        "url.full": _upstream_url(record, query),
    })  # fmt: skip


def _upstream_url(record: LogRecord, query: QueryRedactor) -> str | None:
    service = record.service
    if service is None or not service.host:
        return None
    scheme = _HTTP_SCHEMES.get(service.protocol or "", service.protocol or "http")
    host = f"[{service.host}]" if ":" in service.host else service.host
    port = f":{int(service.port)}" if service.port and service.port != _DEFAULT_PORTS.get(scheme) else ""
    return f"{scheme}://{host}{port}{query.redact_target(record.upstream_uri or '/')}"


def _try_attributes(attempt: Try, number: int) -> Attributes:
    return _present({
        "network.peer.address": attempt.ip,
        "network.peer.port": int(attempt.port) if attempt.port else None,
        "http.request.resend_count": number or None,
    })  # fmt: skip


def _try_outcome(attempt: Try, status: int | None) -> Attributes:
    cause = _NO_RESPONSE.get(attempt.code) if attempt.state == "failed" else None
    if cause is not None:
        return {"error.type": cause}
    if status is None:
        return {}
    outcome: Attributes = {"http.response.status_code": status}
    if status >= 400:
        outcome["error.type"] = str(status)
    return outcome


def _upstream_statuses(record: LogRecord, tries: int) -> list[int | None]:
    # nginx's $upstream_status: a status a try, with a comma between, a colon after an internal redirect.
    texts = (record.upstream_status or "").replace(":", ",").split(",")
    statuses = [int(text) if text.strip().isdecimal() else None for text in texts]
    return [*statuses[:tries], *[None] * (tries - len(statuses))]


def _response_source(record: LogRecord) -> str:
    if record.source is not None:
        return record.source
    # Kong 3.4 does not say: without a try, or after a last one that failed, the answer was its own.
    tries = _tries(record)
    return "upstream" if tries and tries[-1].state != "failed" else "kong"


def _tries(record: LogRecord) -> list[Try]:
    # Lua's empty table is an object to some of its JSON encoders.
    return record.tries if isinstance(record.tries, list) else []


def _http_route(record: LogRecord) -> str | None:
    if record.route is None or not isinstance(record.route.paths, list):
        return None
    return matched_path(record.route.paths, record.request.uri.partition("?")[0])


def _method_attributes(method: str) -> dict[str, AttributeValue | None]:
    if method in _KNOWN_METHODS:
        return {"http.request.method": method}
    return {"http.request.method": "_OTHER", "http.request.method_original": method}


def _host_and_port(host: str | None, scheme: str, url: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(f"//{host}" if host else url)
        return parts.hostname, parts.port or _DEFAULT_PORTS.get(scheme)
    except ValueError:  # a Host header can be anything
        return None, None


def _header(headers: object, name: str) -> str | None:
    value = headers.get(name) if isinstance(headers, Mapping) else None
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, str) else None


def _status(record: LogRecord) -> int:
    return int(record.response.status or 0)


def _milliseconds(value: float | None) -> int | None:
    return int(value) if value is not None and value >= 0 else None


def _try_start_ns(attempt: Try) -> int:
    if attempt.balancer_start_ns:
        return int(attempt.balancer_start_ns)
    return int((attempt.balancer_start or 0) * _MS)


def _present(attributes: Mapping[str, AttributeValue | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value not in {None, ""}}
