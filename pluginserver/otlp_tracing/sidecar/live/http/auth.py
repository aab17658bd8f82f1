"""Access to the live page and the reports: checks the Host header, the token and the browser's origin.

The page's own files carry no data, so they need no token, only an allowed Host. A token typed into the page is then
sent with each request as a bearer token. It is not a cookie: cookies ignore the port, so the browser would send it to
every other service on the same address.

Source: RFC 6750 (bearer tokens), RFC 9110 15.5.20 (421); W3C Fetch Metadata; OWASP, "DNS rebinding".
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from otlp_tracing.sidecar.live.http.options import PageOptions

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Sent with all responses but those for probes and scrapers."""

# Probes and scrapers may use any host name. Reports name routes, attributes and destinations, so they need the token.
_FOR_MACHINES = frozenset({"/healthz", "/readyz", "/metrics"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def auth_middleware(options: PageOptions) -> Middleware:
    """Return the middleware that protects all paths but those of probes and scrapers."""
    expected = f"Bearer {options.token}".encode() if options.token else None

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _FOR_MACHINES:
            return await handler(request)
        if not _is_allowed_host(request.headers.get("Host", ""), options.hosts):
            text = "This host name is not allowed; add it with --page-hosts.\n"
            return web.Response(status=421, text=text)
        if request.path != "/" and not request.path.startswith("/page/"):
            if not _is_same_origin(request):
                return web.Response(status=403, text="Requests from other sites are not allowed.\n")
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if expected is not None and not hmac.compare_digest(given, expected):
                return web.Response(status=401, text="A token is needed.\n", headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return check


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add SECURITY_HEADERS; for Application.on_response_prepare."""
    if request.path not in _FOR_MACHINES:
        response.headers.update(SECURITY_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")


def _is_allowed_host(host: str, names: frozenset[str]) -> bool:
    # DNS rebinding: a hostile site can point its own name at this address, but the browser still sends that name.
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_same_origin(request: web.Request) -> bool:
    if request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("Host")
