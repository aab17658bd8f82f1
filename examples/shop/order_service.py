"""order-service: the orders of users, over gRPC and, for callers with HTTP only, as JSON.

User 1 is an ordinary one, user 2 has a list that takes its time, user 3 one that cannot be read.

    python -m shop.order_service --listen 127.0.0.1:8082 --grpc 127.0.0.1:9090
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
from aiohttp import web
from opentelemetry import baggage, trace

from shop.grpc_server import ServerSpans
from shop.health import health_routes
from shop.http_server import server_spans
from shop.listening import address, arguments, listening, stopped
from shop.orders_pb2 import ListOrdersReply, ListOrdersRequest, Order, PlaceOrderRequest
from shop.orders_pb2_grpc import OrderServiceServicer, add_OrderServiceServicer_to_server
from shop.telemetry import telemetry

__all__ = ["application", "grpc_server", "main", "run"]

# Asked for once and kept: a tracer is looked up by name under a lock.
_tracer = trace.get_tracer(__name__)

_ORDERS = {"1": ["shoes", "socks"], "2": ["a very long list"]}
_SLOW_USER = "2"
_SLOW_SECONDS = 0.15
_GRACE_SECONDS = 0.5
_numbers = itertools.count(1001)


class UnreadableError(Exception):
    """The orders of a user cannot be read."""


async def read_orders(user_id: str) -> list[str]:
    """Read the orders of a user, in a span of its own: a verb and a noun, the id as an attribute.

    Raises:
        UnreadableError: user 3's cannot be read.
    """
    with _tracer.start_as_current_span("read orders", attributes={"enduser.pseudo.id": user_id}) as span:
        # Set by user-service, brought here by baggage, through whatever is between.
        if source := baggage.get_baggage("request.source"):
            span.set_attribute("app.request.source", str(source))
        await asyncio.sleep(_SLOW_SECONDS if user_id == _SLOW_USER else 0)
        try:
            return _ORDERS[user_id]
        except KeyError:
            raise UnreadableError(f"the orders of user {user_id} cannot be read") from None


Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Orders(OrderServiceServicer):
    """The gRPC side."""

    async def ListOrders(self, request: ListOrdersRequest, context: Context) -> ListOrdersReply:
        """List the orders of a user."""
        try:
            items = await read_orders(request.user_id)
        except UnreadableError as error:
            await context.abort(grpc.StatusCode.INTERNAL, str(error))
        return ListOrdersReply(orders=[Order(id=number, item=item) for number, item in enumerate(items, 1)])

    async def PlaceOrder(self, request: PlaceOrderRequest, context: Context) -> Order:
        """Take an order."""
        if not request.item:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "item: must be set")
        return Order(id=next(_numbers), item=request.item)

    async def WatchOrders(self, request: ListOrdersRequest, context: Context) -> AsyncIterator[Order]:
        """Send the orders of a user one by one."""
        for order in (await self.ListOrders(request, context)).orders:
            yield order


def application() -> web.Application:
    """Make the HTTP side."""
    app = web.Application(middlewares=[server_spans])
    app.add_routes(
        [
            web.get("/api/orders", _list_orders),
            web.post("/api/orders", _take_order),
            web.get("/api/orders/reports", _report),
            web.get("/api/orders/search", _find_orders),
        ]
    )
    app.add_routes(health_routes({}))
    return app


async def _list_orders(request: web.Request) -> web.Response:
    return web.json_response(await read_orders(request.query.get("user", "")))


async def _take_order(request: web.Request) -> web.Response:
    order = await request.json()
    return web.json_response({"id": next(_numbers), **order}, status=201)


async def _report(_request: web.Request) -> web.Response:
    return web.json_response({user_id: len(items) for user_id, items in _ORDERS.items()})


async def _find_orders(request: web.Request) -> web.Response:
    wanted = request.query.get("item", "")
    return web.json_response([item for items in _ORDERS.values() for item in items if wanted in item])


async def grpc_server(where: tuple[str, int]) -> grpc.aio.Server:
    """Start the gRPC side."""
    server = grpc.aio.server(interceptors=[ServerSpans()])
    add_OrderServiceServicer_to_server(Orders(), server)
    server.add_insecure_port("{}:{}".format(*where))
    await server.start()
    return server


async def run(http: tuple[str, int], rpc: tuple[str, int]) -> None:
    """Serve both sides until a signal comes."""
    server = await grpc_server(rpc)
    try:
        async with listening(application(), http):
            await stopped()
    finally:
        await server.stop(_GRACE_SECONDS)


def main() -> None:
    """Run the service."""
    parser = arguments("The orders of users.", 8080)
    parser.add_argument(
        "--grpc", type=address, default=("0.0.0.0", 9090), metavar="HOST:PORT", help="address of its gRPC side"
    )
    options = parser.parse_args()
    with telemetry("order-service"):
        asyncio.run(run(options.listen, options.grpc))


if __name__ == "__main__":
    main()
