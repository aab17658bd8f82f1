"""A client of the gateway that starts the trace itself, with baggage, and retries failed requests.

    python -m shop.client http://127.0.0.1:8000 --users 1,2,3,9 --grpc 127.0.0.1:8000

Prints one line a request, with its trace id, to search for in the backend.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from aiohttp import ClientError, ClientSession, ClientTimeout
from opentelemetry import baggage, context, trace
from opentelemetry.trace import Status, StatusCode, format_trace_id

from shop.calls import call_grpc, call_http
from shop.orders_pb2 import ListOrdersRequest
from shop.orders_pb2_grpc import OrderServiceStub
from shop.telemetry import telemetry

__all__ = ["list_orders", "main", "run", "visit"]

_tracer = trace.get_tracer(__name__)

_ATTEMPTS = 3
_PAUSE_SECONDS = 0.2
_CALL_SECONDS = 10.0


@asynccontextmanager
async def _journey(name: str) -> AsyncIterator[trace.Span]:
    """Put everything inside into one trace, with baggage for all called services."""
    token = context.attach(baggage.set_baggage("client.name", "shop.client"))
    try:
        with _tracer.start_as_current_span(name) as span:
            yield span
    finally:
        context.detach(token)


async def visit(session: ClientSession, gateway: str, user_id: str) -> tuple[int, str]:
    """Ask for a user. Give the status, 0 without an answer, and the trace id.

    A 502, 503 or 504 and a connection that fails are tried again. Each attempt has a span of its own, and the result
    of the last is the result of the journey.
    """
    async with _journey("visit user") as span:
        status = 0
        for attempt in range(_ATTEMPTS):
            try:
                status = (await call_http(session, "GET", f"{gateway}/api/users/{user_id}")).status
            except (ClientError, asyncio.TimeoutError) as error:
                span.record_exception(error)
            if status not in {0, 502, 503, 504}:
                break
            span.add_event("attempt failed", {"attempt": attempt + 1, "http.response.status_code": status})
            await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
        else:
            span.set_status(Status(StatusCode.ERROR, f"no good answer in {_ATTEMPTS} attempts"))
        return status, format_trace_id(span.get_span_context().trace_id)


async def list_orders(gateway: str, user_id: str) -> tuple[str, str]:
    """Ask for a user's orders over gRPC through the gateway; give the code and the trace id."""
    request = ListOrdersRequest(user_id=user_id)
    async with _journey("list orders") as span, grpc.aio.insecure_channel(gateway) as channel:
        trace_id = format_trace_id(span.get_span_context().trace_id)
        stub = OrderServiceStub(channel)
        try:
            await call_grpc(
                "shop.OrderService/ListOrders",
                lambda metadata: stub.ListOrders(request, metadata=metadata, timeout=_CALL_SECONDS),
            )
        except grpc.aio.AioRpcError as error:
            return error.code().name, trace_id
        return "OK", trace_id


async def run(gateway: str, users: list[str], rpc: str | None) -> None:
    """Visit every user, one after the other, and print the answers."""
    async with ClientSession(timeout=ClientTimeout(total=_CALL_SECONDS)) as session:
        for user_id in users:
            status, trace_id = await visit(session, gateway, user_id)
            print(f"GET /api/users/{user_id}  {status or 'no answer'}  trace {trace_id}", flush=True)
            if rpc is not None:
                code, trace_id = await list_orders(rpc, user_id)
                print(f"ListOrders({user_id})  {code}  trace {trace_id}", flush=True)


def main() -> None:
    """Run the client."""
    parser = argparse.ArgumentParser(description="Visit users through the gateway.")
    parser.add_argument("gateway", help="the gateway's URL, such as http://localhost:8000")
    parser.add_argument("--users", default="1,2,3,9", help="ids, with commas between (default 1,2,3,9)")
    parser.add_argument(
        "--grpc", metavar="HOST:PORT", help="ask for orders over gRPC too, at the gateway's HTTP/2 port"
    )
    options = parser.parse_args()
    with telemetry("shop-client"):
        asyncio.run(run(options.gateway.rstrip("/"), options.users.split(","), options.grpc))


if __name__ == "__main__":
    main()
