"""The answers Kong makes itself: their JSON, their headers.

Pure. A client that asks for HTML or XML gets JSON here, where Kong has templates for them.

Source: kong/tools/http.lua, kong/error_handlers.lua, kong/pdk/response.lua of Kong 3.9.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from otlp_tracing.testing.gateway.context import RequestContext
from otlp_tracing.testing.gateway.headers import Headers
from otlp_tracing.testing.gateway.lua_values import encode_text

__all__ = ["SERVER", "OwnAnswer", "error_answer"]

SERVER = "kong/3.9.1"  # the release whose behaviour this is; a plugin sees it in the log record
_JSON = "application/json; charset=utf-8"
_MESSAGES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    413: "Payload too large",
    429: "Too many requests",
    500: "An unexpected error occurred",
    502: "An invalid response was received from the upstream server",
    503: "The upstream server is currently unavailable",
    504: "The upstream server is timing out",
}


@dataclass(frozen=True)
class OwnAnswer:
    """An answer that no upstream made."""

    status: int
    body: bytes
    headers: Headers


def error_answer(context: RequestContext, status: int, message: str | None = None) -> OwnAnswer:
    """Give Kong's error answer: a message and the request's id; a message is put in as it is."""
    text = message if message is not None else _MESSAGES.get(status, f"The upstream server responded with {status}")
    body = f'{{\n  "message":"{text}",\n  "request_id":"{context.id}"\n}}'
    return OwnAnswer(status, encode_text(body), Headers([("Content-Type", _JSON)]))
