"""The notes of `access` on a request: facts that Kong's log record loses.

nginx answers an error of its own (502, 504, …) as a GET for its error page. Over HTTP/1 Kong reads the method of the
request all the same, over HTTP/2 its record shows that GET. A plugin that translates (grpc-gateway) leaves the method,
content type and length of the call that it makes. The record has X-Forwarded-Proto, -Host and -Port as the peer sent
them, whether Kong trusts the peer or not. So Kong is asked for the header that it sends upstream.

To ask Kong for the method is a call more, so only requests are asked about that may be over HTTP/2 and are probably no
GET. Nothing tells more cheaply that a request came over HTTP/2.

Source: kong/pdk/request.lua, get_method, kong/runloop/handler.lua (upstream_x_forwarded_proto), and
kong/plugins/grpc-gateway/handler.lua of Kong 3.4 to 3.9; RFC 9113, 8.2.2; the Fetch standard, 3.2 (Origin).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from otlp_tracing.context import FORWARDED, RequestNotes, is_grpc
from otlp_tracing.sampling.rules import RequestLine

_RARELY_IN_A_GET = ("content-length", "content-type", "origin")  # a browser's DELETE has the last one alone


def _no_variable(_name: str) -> str:
    return ""


def notes_of(
    headers: Mapping[str, Sequence[str]],
    ask_line: Callable[[], RequestLine],
    ask_variable: Callable[[str], str] = _no_variable,
) -> RequestNotes:
    """Return the notes on a request.

    Args:
        headers: as the client sent them.
        ask_line: asks Kong for its first line.
        ask_variable: asks Kong for a variable of nginx.
    """
    forwarded = _forwarded(headers, ask_variable)
    types = headers.get("content-type")
    if types and is_grpc(types[0]):
        return RequestNotes(is_grpc=True, forwarded=forwarded)
    # HTTP/2 has neither of these two.
    if "connection" not in headers and "transfer-encoding" not in headers:
        for name in _RARELY_IN_A_GET:
            if name in headers:
                return RequestNotes(method=ask_line().method, forwarded=forwarded)
        return RequestNotes(forwarded=forwarded)
    has_body = "content-length" in headers or "transfer-encoding" in headers
    return RequestNotes(has_body=has_body, forwarded=forwarded)


def _forwarded(headers: Mapping[str, Sequence[str]], ask_variable: Callable[[str], str]) -> str:
    # Kong sends the upstream the peer's header if it trusts the peer (trusted_ips), and its own value otherwise. One
    # header tells it for all three; the most telling one is asked about.
    for name in FORWARDED:
        lines = headers.get(f"x-forwarded-{name}")
        if lines and (name != "host" or lines != headers.get("host")):
            return name if ask_variable(f"upstream_x_forwarded_{name}") in {lines[0], ", ".join(lines)} else ""
    return ""
