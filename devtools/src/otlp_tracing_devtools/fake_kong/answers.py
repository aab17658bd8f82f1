"""The answers Kong makes itself: their JSON, their headers.

Pure. A client that asks for HTML or XML gets JSON here, where Kong has templates for them.

Source: kong/tools/http.lua, kong/error_handlers.lua, kong/pdk/response.lua of Kong 3.9.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.lua_values import encode_json, encode_text, to_text
from otlp_tracing_devtools.fake_kong.version import REQUEST_ID

_JSON = "application/json; charset=utf-8"
_GRPC = "application/grpc"
_MESSAGES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    413: "Payload too large",
    414: "URI too long",
    429: "Too many requests",
    494: "Request header or cookie too large",
    500: "An unexpected error occurred",
    502: "An invalid response was received from the upstream server",
    503: "The upstream server is currently unavailable",
    504: "The upstream server is timing out",
}
_GRPC_STATUS = {200: 0, 400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 499: 1, 500: 13, 501: 12, 503: 14, 504: 4}
_GRPC_STATUS_OF_CLASS = {2: 0, 4: 3, 5: 13}
_GRPC_UNKNOWN = 2
_GRPC_MESSAGES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
    "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
    "Internal", "Unavailable", "DataLoss", "Unauthenticated",
)  # fmt: skip


@dataclass(frozen=True)
class OwnAnswer:
    """An answer that no upstream made."""

    status: int
    body: bytes
    headers: Headers


def error_answer(context: RequestContext, status: int, message: str | None = None) -> OwnAnswer:
    """Give Kong's error answer: a message and the request's id; a message is put in as it is.

    A gRPC client gets neither: kong/pdk/response.lua, error.
    """
    if context.is_grpc:
        return OwnAnswer(status, b"", Headers([("Content-Type", _GRPC)]))
    return _json_answer(context, status, message if message is not None else _message(status))


def failure_answer(context: RequestContext, status: int) -> OwnAnswer:
    """Give the answer to an error that nginx found, as gRPC if the client accepts it; kong/error_handlers.lua."""
    accepted = context.headers.get("accept") or context.headers.get("content-type") or ""
    if context.is_grpc and accepted.startswith(_GRPC):
        return OwnAnswer(status, encode_text(_message(status)), Headers())
    own = _json_answer(context, status, _message(status))
    return OwnAnswer(400, own.body, own.headers) if status == 494 else own  # 494 is nginx's own number


def table_answer(context: RequestContext, status: int, table: Mapping[Any, Any] | Sequence[Any]) -> OwnAnswer:
    """Give a table as JSON; of it a gRPC client gets the message alone: kong/pdk/response.lua, send."""
    if context.is_grpc:
        message = table.get("message") if isinstance(table, Mapping) else None
        return OwnAnswer(status, encode_text(message) if isinstance(message, str) else b"", Headers())
    return OwnAnswer(status, encode_json(table), Headers([("Content-Type", _JSON)]))


def _message(status: int) -> str:
    return _MESSAGES.get(status, f"The upstream server responded with {status}")


def _json_answer(context: RequestContext, status: int, message: str) -> OwnAnswer:
    request_id = f',\n  "request_id":"{context.id}"' if context.version >= REQUEST_ID else ""
    body = f'{{\n  "message":"{message}"{request_id}\n}}'
    return OwnAnswer(status, encode_text(body), Headers([("Content-Type", _JSON)]))


def in_grpc(answer: OwnAnswer) -> OwnAnswer:
    """Give an answer the form a gRPC client understands: status and message as headers, no body but gRPC's.

    Source: send in kong/pdk/response.lua of Kong 3.9.1.
    """
    content_type = answer.headers.get("content-type")
    if content_type is not None and not content_type.startswith(_GRPC):
        return answer
    headers = answer.headers.copy()
    by_class = _GRPC_STATUS_OF_CLASS.get(answer.status // 100, _GRPC_UNKNOWN)
    status = _GRPC_STATUS.get(answer.status, by_class)
    if "grpc-status" not in headers:
        headers.set("grpc-status", str(status))
    if answer.body and content_type is None:
        headers.set("grpc-message", to_text(answer.body))
        return OwnAnswer(answer.status, b"", headers)
    if "grpc-message" not in headers and "grpc-status" not in answer.headers:
        headers.set("grpc-message", _GRPC_MESSAGES[status])
    return OwnAnswer(answer.status, answer.body, headers)
