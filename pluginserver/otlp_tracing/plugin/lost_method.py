"""Which requests can lose their method on the way to Kong's log record.

nginx answers an error of its own (502, 504, …) as a GET for its error page. Over HTTP/1 Kong reads the method of the
request all the same, over HTTP/2 its record shows that GET. So `access` remembers the method of such requests. To ask
for it is a call more, and Kong has no cheaper sign of HTTP/2. The headers tell most other requests apart at no cost.

Source: kong/pdk/request.lua, get_method, of Kong 3.4 to 3.9; RFC 9113, 8.2.2; the Fetch standard, 3.2 (Origin).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otlp_tracing.sampling.rules import RequestLine

_NEVER_IN_HTTP_2 = ("connection", "transfer-encoding")
_RARELY_IN_A_GET = ("content-length", "content-type", "origin")  # the last one: a browser's DELETE has no other


def may_lose_method(headers: Mapping[str, Sequence[str]]) -> bool:
    """Tell by its headers whether a request may be one over HTTP/2 whose method is neither GET nor HEAD."""
    for name in _RARELY_IN_A_GET:
        if name in headers:
            break
    else:
        return False
    # The sidecar knows the method of a gRPC call: POST.
    types = headers.get("content-type")
    if types and types[0].startswith("application/grpc"):
        return False
    return all(name not in headers for name in _NEVER_IN_HTTP_2)


def method_to_remember(line: RequestLine) -> str | None:
    """Return the method of a request that Kong would log as a GET; None if its record will be right."""
    return line.method if line.is_http2 and line.method not in {"GET", "HEAD"} else None
