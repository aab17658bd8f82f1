"""Header lines between client, gateway and upstream: which are passed on, removed, and added.

Pure.

Source: the proxy_set_header lines of kong/templates/nginx_kong.lua, and access and header_filter in
kong/runloop/handler.lua of Kong 3.9.1.
"""

from __future__ import annotations

from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.version import REQUEST_ID, VIA_WITH_PROTOCOL, server_name

_NOT_SENT_ON = (
    "host", "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "via", "expect", "content-length",
    "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-path",
    "x-forwarded-prefix", "x-real-ip", "x-kong-request-id",
)  # fmt: skip
_NOT_SENT_BACK = ("connection", "keep-alive", "transfer-encoding", "upgrade", "trailer", "via")


def drop_connection_headers(headers: Headers) -> None:
    """Remove a client's statements about its own connection; in place, and so out of the log record."""
    named = [name for name in headers.tokens("connection") if name not in {"keep-alive", "close", "upgrade"}]
    headers.remove("proxy", "proxy-connection", *named)


def upstream_headers(context: RequestContext, host: str, body_length: int | None, *, chunked: bool) -> Headers:
    """Give the lines of the upstream's request; `host` is used unless the context has a host of its own."""
    client = context.headers
    upgrade = (client.get("upgrade") or "").lower() == "websocket"
    lines = Headers(pair for pair in client if pair[0].lower() not in _NOT_SENT_ON)
    lines.set("Host", context.upstream_host or host)
    lines.set("Connection", "keep-alive, Upgrade" if upgrade else "keep-alive")
    if upgrade:
        lines.set("Upgrade", "websocket")
    if chunked:
        lines.set("Transfer-Encoding", "chunked")
    elif body_length is not None:
        lines.set("Content-Length", str(body_length))
    _add_forwarded(lines, context)
    return lines


def _add_forwarded(lines: Headers, context: RequestContext) -> None:
    client = context.headers
    forwarded_for = client.get("x-forwarded-for")
    via = client.get("via")
    lines.set("X-Forwarded-For", f"{forwarded_for}, {context.client_ip}" if forwarded_for else context.client_ip)
    lines.set("X-Forwarded-Proto", context.scheme)
    lines.set("X-Forwarded-Host", context.host)
    lines.set("X-Forwarded-Port", str(context.server_port))
    lines.set("X-Forwarded-Path", context.raw_path)
    if context.match and context.match.prefix != "/":
        lines.set("X-Forwarded-Prefix", context.match.prefix)
    lines.set("X-Real-IP", context.client_ip)
    if context.version >= REQUEST_ID:
        lines.set("X-Kong-Request-Id", context.id)
    if context.version >= VIA_WITH_PROTOCOL:
        own_via = f"{context.http_version:g} {server_name(context.version)}"
        lines.set("Via", f"{via}, {own_via}" if via else own_via)
    elif via:
        lines.set("Via", via)
    if "trailers" in client.tokens("te"):
        lines.set("TE", "trailers")


def answer_headers(upstream: Headers, context: RequestContext) -> Headers:
    """Give the lines of an upstream's answer as they are sent to the client."""
    named = [name for name in upstream.tokens("connection") if name not in {"keep-alive", "close", "upgrade"}]
    lines = upstream.copy()
    lines.remove(*_NOT_SENT_BACK, *named)
    for name, value in context.extra_response_headers:
        lines.add(name, value)
    via = upstream.get("via")
    add_latency_headers(lines, context)
    if context.version >= VIA_WITH_PROTOCOL and via:
        lines.set("Via", f"{via}, {_own_via(context)}")
    return lines


def _own_via(context: RequestContext) -> str:
    name = server_name(context.version)
    if context.version < VIA_WITH_PROTOCOL:
        return name
    return f"{'2' if context.service and context.service.is_grpc else '1.1'} {name}"


def add_latency_headers(lines: Headers, context: RequestContext) -> None:
    """Add Kong's own lines, which differ for proxied answers and for its own."""
    if context.proxied:
        lines.set("X-Kong-Upstream-Latency", str(context.times.waiting_ms))
        lines.set("X-Kong-Proxy-Latency", str(context.times.kong_ms))
        lines.set("Via", _own_via(context))
    else:
        lines.set("X-Kong-Response-Latency", str(context.times.kong_ms))
    named_in_via = context.proxied and context.version < VIA_WITH_PROTOCOL
    if "server" not in lines and not named_in_via:
        lines.set("Server", server_name(context.version))
    if context.version >= REQUEST_ID:
        lines.set("X-Kong-Request-Id", context.id)
