"""The notes of `access` on a request: facts that Kong's log record loses.

nginx answers an error of its own (502, 504, …) as a GET for its error page. Over HTTP/1 Kong reads the method of the
request all the same, over HTTP/2 its record shows that GET. A plugin that translates (grpc-gateway) leaves the method,
content type and length of the call that it makes.

To ask Kong for the method is a call more, so only requests are asked about that may be over HTTP/2 and are probably no
GET. Nothing tells more cheaply that a request came over HTTP/2.

Source: kong/pdk/request.lua, get_method, and kong/plugins/grpc-gateway/handler.lua of Kong 3.4 to 3.9; RFC 9113, 8.2.2;
the Fetch standard, 3.2 (Origin).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from otlp_tracing.context import RequestNotes, is_grpc
from otlp_tracing.sampling.rules import RequestLine

_RARELY_IN_A_GET = ("content-length", "content-type", "origin")  # a browser's DELETE has the last one alone


def notes_of(headers: Mapping[str, Sequence[str]], ask_line: Callable[[], RequestLine]) -> RequestNotes:
    """Return the notes on a request.

    Args:
        headers: as the client sent them.
        ask_line: asks Kong for its first line.
    """
    types = headers.get("content-type")
    if types and is_grpc(types[0]):
        return RequestNotes(is_grpc=True)
    # HTTP/2 has neither of these two.
    if "connection" not in headers and "transfer-encoding" not in headers:
        for name in _RARELY_IN_A_GET:
            if name in headers:
                return RequestNotes(method=ask_line().method)
        return RequestNotes()
    return RequestNotes(has_body="content-length" in headers or "transfer-encoding" in headers)
