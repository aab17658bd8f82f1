"""gRPC through the stand-in Kong, by a real client and a real server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from checkout import TRANSCRIPTS
from log_records import shape, stable, without_zipkin
from scripted_plugin_server import ScriptedPlugin


class Echo(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """An upstream without generated code: messages are bytes."""

    def service(self, details: Any) -> Any:
        if details.method == "/t.Echo/Stream":
            return grpc.unary_stream_rpc_method_handler(self.stream)
        return grpc.unary_unary_rpc_method_handler(self.fail if details.method == "/t.Echo/Fail" else self.say)

    async def say(self, message: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("x-trailer", "t"),))
        return message

    async def fail(self, _message: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "nope")
        return b""

    async def stream(self, message: bytes, _context: Any) -> AsyncIterator[bytes]:
        for number in range(3):
            yield message + b"%d" % number


@pytest.mark.parametrize(
    ("name", "method", "code"),
    [
        ("26-grpc-unary", "Say", grpc.StatusCode.OK),
        ("27-grpc-server-stream", "Stream", grpc.StatusCode.OK),
        ("28-grpc-error", "Fail", grpc.StatusCode.NOT_FOUND),
    ],
)
async def test_the_log_record_is_the_recorded_one(bench: Any, name: str, method: str, code: grpc.StatusCode) -> None:
    """The client gets messages and status, and the log record has the recorded fields, types and fixed values."""
    recorded = without_zipkin(json.loads((TRANSCRIPTS / f"{name}.serialize.json").read_text()))
    setting = ("kong.service.request.set_header", ["x-probe", "hello-from-python/grpc"])
    plugin = ScriptedPlugin({"access": [setting], "log": [("kong.log.serialize", [])]})
    server = grpc.aio.server(handlers=[Echo()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    route = {"name": "r-grpc", "protocols": ["grpc", "grpcs"], "paths": ["/"]}
    service = {"name": "grpc", "protocol": "grpc", "port": port, "routes": [route]}
    async with (
        bench(plugin, service=service) as running,
        grpc.aio.insecure_channel(running.gateway.url.removeprefix("http://")) as channel,
    ):
        calls: Any = channel  # messages are bytes, so there are no serializers
        make = calls.unary_stream if method == "Stream" else calls.unary_unary
        call = make(f"/t.Echo/{method}")(b"hi", timeout=10, metadata=(("traceparent", "00"),))
        if method == "Stream":
            assert [message async for message in call] == [b"hi0", b"hi1", b"hi2"]
        elif method == "Say":
            assert (await call, dict(await call.trailing_metadata())["x-trailer"]) == (b"hi", "t")
        assert await call.code() == code
        await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
    await server.stop(0)
    record = json.loads(plugin.results["log"][0][1])

    assert shape(record) == shape(recorded)
    assert stable(record) == stable(recorded)
