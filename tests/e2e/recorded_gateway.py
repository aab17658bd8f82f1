"""The gateway of the recordings once more: the same services, routes and plugins, with upstreams that answer alike.

Names are the recordings', and so Kong derives the same ids from them; ports are this run's own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from aiohttp import web

from e2e.declarations import declaration, tracing
from e2e.gateways import RunningGateway
from e2e.ports import HOST, free_port
from e2e.upstreams import RecordingUpstream


@dataclass(frozen=True)
class RecordedPorts:
    """Ports of this run for those of the recordings; nothing listens at `dead`."""

    echo: int
    streaming: int
    websocket: int
    grpc: int
    dead: int

    def renumbered(self, gateway: RunningGateway) -> Mapping[int, int]:
        """Return this run's port for each of the recordings'."""
        own, http2 = (int(url.rpartition(":")[2]) for url in (gateway.url, gateway.http2_url))
        upstreams = {9080: self.echo, 9082: self.streaming, 9083: self.websocket, 9090: self.grpc, 9099: self.dead}
        return {8000: own, 8200: own, 8281: http2, **upstreams}


def recorded_declaration(ports: RecordedPorts, endpoint: str) -> Mapping[str, Any]:
    """Return the kong.yml of the recordings, with our plugin in the place of the one that was recorded.

    `grpc-down` and `grpc-auth` were not in it.
    """
    key_auth = {"name": "key-auth", "config": {"key_names": ["apikey"]}}
    rate_limiting = {"name": "rate-limiting", "config": {"minute": 2, "policy": "local"}}
    targets = [{"target": f"{HOST}:{port}"} for port in (ports.dead, ports.echo)]
    return declaration(
        _service("echo", ports.echo),
        _service("down", ports.dead, retries=2),
        _service("auth", ports.echo, plugins=[key_auth]),
        _service("rl", ports.echo, plugins=[rate_limiting]),
        _service("retry", 80, host="retry.upstream", retries=3),
        _service("slow", ports.streaming, read_timeout=2000, retries=0),
        _service("stream", ports.streaming, route={"response_buffering": False}),
        _service("ws", ports.websocket),
        _grpc_service("grpc", "/", ports.grpc),
        _grpc_service("grpc-down", "/t.Down", ports.dead, retries=1),
        _grpc_service("grpc-auth", "/t.Auth", ports.grpc, plugins=[key_auth]),
        plugins=[tracing(endpoint)],
        upstreams=[{"name": "retry.upstream", "targets": targets}],
        consumers=[{"username": "alice", "keyauth_credentials": [{"key": "alice-key"}]}],
    )


def _service(name: str, port: int, route: Mapping[str, Any] | None = None, **fields: Any) -> Mapping[str, Any]:
    own_route = {"name": f"r-{name}", "paths": [f"/{name}"], **(route or {})}
    return {"name": name, "host": HOST, "port": port, "routes": [own_route], **fields}


def _grpc_service(name: str, path: str, port: int, **fields: Any) -> Mapping[str, Any]:
    route = {
        "protocols": ["grpc", "grpcs"],
        "paths": [path],
        "strip_path": False,
        "headers": {"content-type": ["application/grpc"]},  # or a request without a route would meet it
    }
    return _service(name, port, route, protocol="grpc", **fields)


@contextlib.contextmanager
def recorded_upstreams(echo: RecordingUpstream) -> Iterator[RecordedPorts]:
    """Run the upstreams: one that is slow or streams, one for WebSockets, one for gRPC."""
    ports = RecordedPorts(echo.port, *(free_port() for _ in range(4)))
    with _web_servers({ports.streaming: _streaming(), ports.websocket: _websocket()}), _grpc_server(ports.grpc):
        yield ports


@contextlib.contextmanager
def _web_servers(applications: Mapping[int, web.Application]) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="web-upstreams", daemon=True)
    thread.start()

    def wait_for(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    runners = [web.AppRunner(application, shutdown_timeout=0.1) for application in applications.values()]
    try:
        for runner, port in zip(runners, applications, strict=True):
            wait_for(runner.setup())
            wait_for(web.TCPSite(runner, HOST, port).start())
        yield
    finally:
        for runner in runners:
            wait_for(runner.cleanup())
        wait_for(_end_handlers())  # aiohttp leaves those whose client has gone
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_handlers() -> None:
    handlers = asyncio.all_tasks() - {asyncio.current_task()}
    for handler in handlers:
        handler.cancel()
    await asyncio.gather(*handlers, return_exceptions=True)


def _streaming() -> web.Application:
    async def never(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(4):
            await response.write(f"data: {number}\n\n".encode())
            await asyncio.sleep(0.5 if number < 3 else 0)
        return response

    application = web.Application()
    application.add_routes([web.get("/x", never), web.get("/sse", events)])
    return application


def _websocket() -> web.Application:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    application = web.Application()
    application.add_routes([web.get("/x", echo)])
    return application


class _Echo(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """The service t.Echo, without generated code: messages are bytes."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        handlers = {
            "/t.Echo/Say": grpc.unary_unary_rpc_method_handler(lambda message, _context: message),
            "/t.Echo/Fail": grpc.unary_unary_rpc_method_handler(_fail),
            "/t.Echo/Stream": grpc.unary_stream_rpc_method_handler(_stream),
        }
        return handlers.get(details.method)


def _fail(_message: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.NOT_FOUND, "nope")
    return b""


def _stream(message: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
    for number in range(4):
        yield message
        time.sleep(0.1 if number < 3 else 0)


@contextlib.contextmanager
def _grpc_server(port: int) -> Iterator[None]:
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[_Echo()])
    server.add_insecure_port(f"{HOST}:{port}")
    server.start()
    try:
        yield
    finally:
        server.stop(0).wait()
