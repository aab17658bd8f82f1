"""Scheme, host and port of a request as its client wrote them: `url.scheme`, `server.address` and `server.port`.

Behind a load balancer that ends TLS they are in X-Forwarded-Proto, -Host and -Port. These count only if Kong trusts the
peer: `access` notes which header Kong took from it. A scheme that is Kong's own as well proves nothing.

Source: semantic conventions 1.44, docs/http/http-spans.md ("Setting server.address and server.port attributes") and
url.scheme; kong/runloop/handler.lua, forwarded_proto.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from otlp_tracing.sidecar.ingest.request_record import RequestRecord, line

DEFAULT_PORTS = {"http": 80, "https": 443}


def server_address(record: RequestRecord) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port; without a host in the request, those that Kong gives."""
    scheme, host = own_scheme(record), record.host
    if not host:
        host = record.log.request.url.partition("://")[2].partition("/")[0]
        if host.startswith("kong:"):
            # Without a host in the request, Kong's URL has the name of its nginx server (templates/nginx_kong.lua).
            host = host[len("kong") :]
    if not record.forwarded:
        address, port = _host_and_port(host, scheme)
        return scheme, address, port
    headers = record.known_request_headers
    forwarded_port = _next_to_client(headers.forwarded_port)
    if record.forwarded != "port":
        forwarded_scheme = _next_to_client(headers.forwarded_proto).lower()
        if record.forwarded == "proto" and forwarded_scheme == scheme:
            return scheme, *_host_and_port(host, scheme)
        scheme = forwarded_scheme if forwarded_scheme in DEFAULT_PORTS else scheme
        host = _next_to_client(headers.forwarded_host) or host
    address, port = _host_and_port(host, scheme)
    return scheme, address, int(forwarded_port) if _is_port(forwarded_port) else port


def own_scheme(record: RequestRecord) -> str:
    """Return the scheme that Kong was asked with, http or https."""
    scheme = record.log.request.url.partition("://")[0]
    return scheme if scheme in DEFAULT_PORTS else "http"


def _next_to_client(header: object) -> str:
    return (line(header) or "").partition(",")[0].strip()  # the first of several


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 1 << 16


@lru_cache(maxsize=1024)  # hosts of a gateway; a host that a client made up costs a parse, as without the cache
def _host_and_port(authority: str, scheme: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(f"//{authority}")
        if parts.netloc == authority:
            return parts.hostname, parts.port or DEFAULT_PORTS.get(scheme)
    except ValueError:
        pass
    return None, None  # a Host header can be anything
