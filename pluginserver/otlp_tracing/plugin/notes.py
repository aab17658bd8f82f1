"""The notes of `access` on a request: facts that Kong's log record loses.

nginx answers an error of its own (502, 504, …) as a GET for its error page. Over HTTP/1 Kong reads the method of the
request even so; over HTTP/2 its record shows that GET. A plugin that translates (grpc-gateway) leaves the method,
content type and length of the call that it makes. The record has X-Forwarded-Proto, -Host and -Port as the peer sent
them, whether Kong trusts the peer or not. So Kong is asked for the header that it sends upstream.

To ask Kong for the method is a call more, so only requests are asked about that may be over HTTP/2 and are probably no
GET. Nothing tells more cheaply that a request came over HTTP/2.

Source: kong/pdk/request.lua, get_method, kong/runloop/handler.lua (upstream_x_forwarded_proto), and
kong/plugins/grpc-gateway/handler.lua of Kong 3.4 to 3.9; RFC 9113, 8.2.2; the Fetch standard, 3.2 (Origin).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from otlp_tracing.context import FORWARDED, RequestNotes, is_grpc

_RARELY_IN_A_GET = ("content-length", "content-type", "origin")  # a browser's DELETE has the last one alone
_FORWARDED_HEADERS: Final = {name: f"x-forwarded-{name}" for name in FORWARDED}


def asks_for_method(headers: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether Kong has to be asked for a request's method: it may be over HTTP/2, and is probably no GET."""
    # HTTP/2 has neither of these two.
    if "connection" in headers or "transfer-encoding" in headers or _is_grpc(headers):
        return False
    return any(name in headers for name in _RARELY_IN_A_GET)


def telling_header(headers: Mapping[str, Sequence[str]]) -> str:
    """Return the X-Forwarded header that tells whether Kong trusts the peer: host, proto or port; empty without one.

    Kong sends the upstream the peer's header if it trusts the peer (trusted_ips), and its own value otherwise. One
    header tells it for all three.
    """
    for name in FORWARDED:
        lines = headers.get(_FORWARDED_HEADERS[name])
        if lines and (name != "host" or lines != headers.get("host")):
            return name
    return ""


def notes_of(
    headers: Mapping[str, Sequence[str]], method: str | None = None, telling: str = "", believed: str = ""
) -> RequestNotes:
    """Return the notes on a request.

    Args:
        headers: as the client sent them.
        method: where asks_for_method.
        telling: the telling_header.
        believed: the value of that header which Kong sends the upstream.
    """
    forwarded = ""
    if telling:
        lines = headers[_FORWARDED_HEADERS[telling]]
        forwarded = telling if believed in {lines[0], ", ".join(lines)} else ""
    if method is not None:
        return RequestNotes(method, forwarded=forwarded)
    if _is_grpc(headers):
        return RequestNotes(is_grpc=True, forwarded=forwarded)
    has_body = "transfer-encoding" in headers or "content-length" in headers
    return RequestNotes(has_body=has_body, forwarded=forwarded)


def _is_grpc(headers: Mapping[str, Sequence[str]]) -> bool:
    types = headers.get("content-type")
    return types is not None and len(types) > 0 and is_grpc(types[0])
