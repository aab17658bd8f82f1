"""Who may see what the page shows: a check of the Host, of the token, of where the browser comes from.

The page's own files carry no data, so they are there for everyone who asks by a name that is ours; a token
typed into the page then goes with each request as a bearer token. It is not a cookie: cookies know no port,
so every other service on the same address would be sent it.

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

__all__ = ["SECURITY_HEADERS", "guard", "harden"]

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
"""Sent with everything but what probes and scrapers read."""

# Read by probes and scrapers, by whatever name they know the machine. Reports are for people: names of routes,
# attributes and destinations, and why a collector refuses, are behind the token.
_FOR_MACHINES = frozenset({"/healthz", "/readyz", "/metrics"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(options: PageOptions) -> Middleware:
    """Make the middleware that stands before every path but those for machines."""
    expected = f"Bearer {options.token}".encode() if options.token else None

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _FOR_MACHINES:
            return await handler(request)
        if not _is_ours(request.headers.get("Host", ""), options.hosts):
            text = "This name is not one that the page may be asked for by; add it with --page-hosts.\n"
            return web.Response(status=421, text=text)
        if request.path != "/" and not request.path.startswith("/page/"):
            if not _is_same_origin(request):
                return web.Response(status=403, text="Other sites may not read this.\n")
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if expected is not None and not hmac.compare_digest(given, expected):
                return web.Response(status=401, text="A token is needed.\n", headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return check


async def harden(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers; for Application.on_response_prepare."""
    if request.path not in _FOR_MACHINES:
        response.headers.update(SECURITY_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")


def _is_ours(host: str, names: frozenset[str]) -> bool:
    # A site that points its own name at this address is still asked for by that name: so names must be known.
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
