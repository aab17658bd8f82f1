"""user-service: users, with their orders and recommendations, which it asks for at the same time.

python -m shop.user_service --listen 127.0.0.1:8081 --orders 127.0.0.1:9090
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
from aiohttp import web
from opentelemetry import baggage, context, trace

from shop.calls import call_grpc
from shop.health import health_routes
from shop.http_server import server_spans
from shop.listening import arguments, listening, stopped
from shop.orders_pb2 import ListOrdersRequest
from shop.orders_pb2_grpc import OrderServiceStub
from shop.telemetry import telemetry

__all__ = ["application", "main", "run"]

_tracer = trace.get_tracer(__name__)

_USERS = {"1": "Ada", "2": "Grace", "3": "Linus"}
_LIKES = {"1": ["boots"], "2": []}
_CALL_SECONDS = 5.0

_CHANNEL = web.AppKey("channel", grpc.aio.Channel)
_ORDERS = web.AppKey("orders", OrderServiceStub)


def application(orders: str) -> web.Application:
    """Make the service.

    Args:
        orders: host and port of order-service's gRPC side.
    """

    async def open_channel(app: web.Application) -> AsyncIterator[None]:
        # One channel for the life of the process: each has connections and a name lookup of its own.
        async with grpc.aio.insecure_channel(orders) as channel:
            app[_CHANNEL], app[_ORDERS] = channel, OrderServiceStub(channel)
            yield

    async def orders_answer() -> None:
        await app[_CHANNEL].channel_ready()

    app = web.Application(middlewares=[server_spans])
    app.cleanup_ctx.append(open_channel)
    app.add_routes([web.get("/api/users", _list_users), web.get("/api/users/{id}", _show_user)])
    app.add_routes(health_routes({"order-service": orders_answer}))
    return app


async def _list_users(_request: web.Request) -> web.Response:
    return web.json_response([{"id": user_id, "name": name} for user_id, name in _USERS.items()])


async def _show_user(request: web.Request) -> web.Response:
    user_id = request.match_info["id"]
    if user_id not in _USERS:
        return web.json_response({"message": "no such user"}, status=404)
    # Baggage is sent to every service that is called from here on: useful facts, never secrets.
    token = context.attach(baggage.set_baggage("request.source", "user-service"))
    try:
        # Both at once: their spans lie side by side under ours, since each task begins with our context.
        orders, likes = await asyncio.gather(_orders_of(request.app, user_id), _likes_of(user_id))
    except grpc.aio.AioRpcError as error:
        # The CLIENT span has the failure; this span has our answer to it.
        trace.get_current_span().set_attribute("app.orders.failure", error.code().name)
        return web.json_response({"message": "orders cannot be read"}, status=502)
    finally:
        context.detach(token)
    return web.json_response({"id": user_id, "name": _USERS[user_id], "orders": orders, "likes": likes})


async def _orders_of(app: web.Application, user_id: str) -> list[str]:
    request = ListOrdersRequest(user_id=user_id)
    reply = await call_grpc(
        "shop.OrderService/ListOrders",
        lambda metadata: app[_ORDERS].ListOrders(request, metadata=metadata, timeout=_CALL_SECONDS),
    )
    return [order.item for order in reply.orders]


async def _likes_of(user_id: str) -> list[str]:
    with _tracer.start_as_current_span("find likes", attributes={"enduser.pseudo.id": user_id}):
        return _LIKES.get(user_id, [])


async def run(where: tuple[str, int], orders: str) -> None:
    """Serve until a signal comes."""
    async with listening(application(orders), where):
        await stopped()


def main() -> None:
    """Run the service."""
    parser = arguments("Users, with their orders.", 8080)
    parser.add_argument("--orders", default="order-service:9090", metavar="HOST:PORT", help="order-service's gRPC side")
    options = parser.parse_args()
    with telemetry("user-service"):
        asyncio.run(run(options.listen, options.orders))


if __name__ == "__main__":
    main()
