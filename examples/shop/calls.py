"""CLIENT spans: calls to another service, over HTTP and over gRPC, that carry trace context and baggage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
from aiohttp import ClientResponse, ClientSession
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

__all__ = ["call_grpc", "call_http"]

T = TypeVar("T")

_tracer = trace.get_tracer(__name__)


async def call_http(session: ClientSession, method: str, url: str, json: object = None) -> ClientResponse:
    """Send a request in a CLIENT span of the current trace; the body is read.

    Raises:
        aiohttp.ClientError, TimeoutError: nothing came back; the span has the reason.
    """
    headers: dict[str, str] = {}
    # The query stays out of the span, because it may hold private data.
    attributes = {"http.request.method": method, "url.full": url.partition("?")[0]}
    with _tracer.start_as_current_span(method, kind=SpanKind.CLIENT, attributes=attributes) as span:
        propagate.inject(headers)
        answer = await session.request(method, url, headers=headers, json=json)
        await answer.read()
        span.set_attribute("http.response.status_code", answer.status)
        if answer.status >= 400:  # a 404 is a failure for the caller, and not for the server
            span.set_attribute("error.type", str(answer.status))
            span.set_status(Status(StatusCode.ERROR))
        return answer


async def call_grpc(method: str, send: Callable[[tuple[tuple[str, str], ...]], Awaitable[T]]) -> T:
    """Make a unary call in a CLIENT span of the current trace.

    Args:
        method: such as shop.OrderService/ListOrders.
        send: makes the call with the metadata it is given.

    Raises:
        grpc.aio.AioRpcError: whatever the service answered but OK; the span has its code.
    """
    carrier: dict[str, str] = {}
    attributes = {"rpc.system.name": "grpc", "rpc.method": method}
    with _tracer.start_as_current_span(
        method, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        propagate.inject(carrier)
        try:
            reply = await send(tuple(carrier.items()))
        except grpc.aio.AioRpcError as error:
            span.set_attributes({"rpc.response.status_code": error.code().name, "error.type": error.code().name})
            span.set_status(Status(StatusCode.ERROR, error.details()))
            raise
        span.set_attribute("rpc.response.status_code", "OK")
        return reply
