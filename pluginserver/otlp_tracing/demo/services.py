"""The two services behind the gateway: users, which calls orders over HTTP.

User 1 is an ordinary one, user 2 has an order list that takes its time, user 3 one that cannot be read,
and there is no user 9. Both services run in the demo's own event loop, each with its own tracing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import ClientSession, ClientTimeout, web
from opentelemetry.trace import Tracer

from otlp_tracing.demo.ports import HOST, Port
from otlp_tracing.demo.tracing import client_span, make_provider, note_status, server_spans

__all__ = ["ORDER_SERVICE", "USER_SERVICE", "order_application", "serve", "user_application"]

USER_SERVICE = "user-service"
ORDER_SERVICE = "order-service"

_USERS = {"1": "Ada", "2": "Grace", "3": "Linus"}
_ORDERS = {"1": ["shoes", "socks"], "2": ["a very long list"]}
_SLOW_USER = "2"
_SLOW_S = 0.15
_STOP_S = 0.5

_ORDERS_URL = web.AppKey("orders_url", str)
_SESSION = web.AppKey("session", ClientSession)
_TRACER = web.AppKey("tracer", Tracer)


def user_application(tracer: Tracer, orders_url: str) -> web.Application:
    """Make the service of users.

    Args:
        tracer: makes its spans.
        orders_url: where the service of orders is, without a path.
    """
    app = web.Application(middlewares=[server_spans(tracer)])
    app[_TRACER] = tracer
    app[_ORDERS_URL] = orders_url
    app.cleanup_ctx.append(_open_session)
    app.add_routes([web.get("/api/users/{id}", _show_user)])
    return app


def order_application(tracer: Tracer) -> web.Application:
    """Make the service of orders."""
    app = web.Application(middlewares=[server_spans(tracer)])
    app[_TRACER] = tracer
    app.add_routes([web.get("/api/orders", _list_orders), web.post("/api/orders", _take_order)])
    return app


@contextlib.asynccontextmanager
async def serve(users: Port, orders: Port, collector_url: str) -> AsyncIterator[None]:
    """Run both services until the block ends; what they still hold of spans is exported then."""
    async with contextlib.AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(_traced(ORDER_SERVICE, collector_url))
        await stack.enter_async_context(_listening(order_application(tracer), orders))
        tracer = await stack.enter_async_context(_traced(USER_SERVICE, collector_url))
        await stack.enter_async_context(_listening(user_application(tracer, orders.url), users))
        yield


@contextlib.asynccontextmanager
async def _traced(service_name: str, collector_url: str) -> AsyncIterator[Tracer]:
    provider = make_provider(service_name, collector_url)
    try:
        yield provider.get_tracer("otlp_tracing.demo")
    finally:
        # It blocks until the last batch is out.
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(provider.shutdown), _STOP_S)


@contextlib.asynccontextmanager
async def _listening(app: web.Application, port: Port) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port.hand_over()).start()
        yield
    finally:
        await runner.cleanup()


async def _open_session(app: web.Application) -> AsyncIterator[None]:
    async with ClientSession(timeout=ClientTimeout(total=5)) as session:
        app[_SESSION] = session
        yield


async def _show_user(request: web.Request) -> web.Response:
    user = request.match_info["id"]
    if user not in _USERS:
        return web.json_response({"message": "no such user"}, status=404)
    status, orders = await _fetch_orders(request.app, user)
    if status >= 500:
        return web.json_response({"message": "orders cannot be read"}, status=502)
    return web.json_response({"id": user, "name": _USERS[user], "orders": orders})


async def _fetch_orders(app: web.Application, user: str) -> tuple[int, object]:
    url = f"{app[_ORDERS_URL]}/api/orders?user={user}"
    headers: dict[str, str] = {}
    async with (
        client_span(app[_TRACER], "GET", url, headers) as span,
        app[_SESSION].get(url, headers=headers) as answer,
    ):
        note_status(span, answer.status, failed=answer.status >= 400)
        return answer.status, await answer.json()


async def _list_orders(request: web.Request) -> web.Response:
    user = request.query.get("user", "")
    with request.app[_TRACER].start_as_current_span("read orders"):
        await asyncio.sleep(_SLOW_S if user == _SLOW_USER else 0)
        orders = _ORDERS[user]
    return web.json_response(orders)


async def _take_order(request: web.Request) -> web.Response:
    order = await request.json()
    return web.json_response({"id": 1001, **order}, status=201)
