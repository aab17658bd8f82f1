"""gRPC through the gateway, by a real client and a real server: answers, errors, streams, log records."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from checkout import TRANSCRIPTS
from log_records import shape, stable, without_zipkin
from scripted_plugin_server import ScriptedPlugin

SERVICE: dict[str, Any] = {"protocol": "grpc", "routes": [{"name": "r-grpc", "protocols": ["grpc"], "paths": ["/"]}]}


class Echo(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """An upstream without generated code: messages are bytes. Keeps each call's metadata."""

    def __init__(self) -> None:
        self.calls: list[dict[str, str | bytes]] = []
        self.cancelled = asyncio.Event()

    def service(self, details: Any) -> Any:
        method = details.method.rpartition("/")[2]
        self.calls.append(dict(details.invocation_metadata))
        if method in {"Stream", "Endless"}:
            return grpc.unary_stream_rpc_method_handler(getattr(self, method.lower()))
        if method == "Chat":
            return grpc.stream_stream_rpc_method_handler(self.chat)
        return grpc.unary_unary_rpc_method_handler(self.fail if method == "Fail" else self.say)

    async def say(self, message: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("x-trailer", "t"),))
        return message

    async def fail(self, _message: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "nope")
        return b""

    async def stream(self, message: bytes, _context: Any) -> AsyncIterator[bytes]:
        for number in range(3):
            yield message + b"%d" % number

    async def endless(self, message: bytes, _context: Any) -> AsyncIterator[bytes]:
        try:
            yield message
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    async def chat(self, messages: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for message in messages:
            yield message.upper()


@contextlib.asynccontextmanager
async def _grpc(bench: Any, plugin: Any, **options: Any) -> AsyncIterator[tuple[Any, Echo, Any]]:
    """Run an upstream, the gateway before it, and a channel to the gateway."""
    echo = Echo()
    server = grpc.aio.server(handlers=[echo])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    service = {**SERVICE, "port": port, **options.pop("service", {})}
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(bench(plugin, service=service, **options))
        address = running.gateway.url.removeprefix("http://")
        yield await stack.enter_async_context(grpc.aio.insecure_channel(address)), echo, running
    await server.stop(0)


async def _record(running: Any, plugin: ScriptedPlugin) -> dict[str, Any]:
    await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
    record: dict[str, Any] = json.loads(plugin.results["log"].pop()[1])
    return record


def _logging_plugin() -> ScriptedPlugin:
    return ScriptedPlugin({"access": [], "log": [("kong.log.serialize", [])]})


def test_a_unary_call_goes_through(bench: Any) -> None:
    """Message, trailers and metadata arrive; the log record is transcript 26's."""
    plugin = _logging_plugin()

    async def run() -> None:
        async with _grpc(bench, plugin) as (channel, echo, running):
            call = channel.unary_unary("/t.Echo/Say")(b"hi", metadata=(("x-mine", "1"),))
            assert await call == b"hi"
            assert (await call.code(), dict(await call.trailing_metadata())["x-trailer"]) == (grpc.StatusCode.OK, "t")
            record = await _record(running, plugin)

            assert (echo.calls[0]["x-mine"], echo.calls[0]["x-forwarded-path"]) == ("1", "/t.Echo/Say")
            assert echo.calls[0]["via"] == "2 kong/3.9.1"
            request, response = record["request"], record["response"]
            assert (request["method"], request["uri"]) == ("POST", "/t.Echo/Say")
            assert request["headers"]["host"] == running.gateway.url.removeprefix("http://")
            assert (request["headers"]["te"], request["headers"]["content-type"]) == ("trailers", "application/grpc")
            assert (response["status"], record["upstream_status"], record["source"]) == (200, "200", "upstream")
            assert {"grpc-status", "content-length", "transfer-encoding", "date"} & response["headers"].keys() == set()
            assert (response["headers"]["via"], response["headers"]["server"]) == ("2 kong/3.9.1", "kong/3.9.1")
            assert record["upstream_uri"] == "/t.Echo/Say"
            assert len(record["tries"]) == 1

    asyncio.run(run())


def test_an_error_without_a_message_is_trailers_only(bench: Any) -> None:
    """The client gets status and text; the record has them among the headers, as transcript 28."""
    plugin = _logging_plugin()

    async def run() -> None:
        async with _grpc(bench, plugin) as (channel, _, running):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/t.Echo/Fail")(b"hi")
            headers = (await _record(running, plugin))["response"]["headers"]

            assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "nope")
            assert (headers["grpc-status"], headers["grpc-message"], headers["content-length"]) == ("5", "nope", "0")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "method"), [("26-grpc-unary", "Say"), ("27-grpc-server-stream", "Stream"), ("28-grpc-error", "Fail")]
)
def test_the_log_record_is_the_recorded_one(bench: Any, name: str, method: str) -> None:
    """Same fields of the same types, and the same values where none is a time or an address."""
    recorded = without_zipkin(json.loads((TRANSCRIPTS / f"{name}.serialize.json").read_text()))
    setting = ("kong.service.request.set_header", ["x-probe", "hello-from-python/grpc"])
    plugin = ScriptedPlugin({"access": [setting], "log": [("kong.log.serialize", [])]})

    async def run() -> dict[str, Any]:
        service = {"name": "grpc", "routes": [{**SERVICE["routes"][0], "protocols": ["grpc", "grpcs"]}]}
        async with _grpc(bench, plugin, service=service) as (channel, _, running):
            make = channel.unary_stream if method == "Stream" else channel.unary_unary
            call = make(f"/t.Echo/{method}")(b"hi", timeout=10, metadata=(("traceparent", "00"),))
            if method == "Stream":
                assert [message async for message in call] == [b"hi0", b"hi1", b"hi2"]
            await call.code()
            return await _record(running, plugin)

    record = asyncio.run(run())

    assert shape(record) == shape(recorded)
    assert stable(record) == stable(recorded)


def test_streams_go_both_ways_at_once(bench: Any) -> None:
    """A server's stream arrives whole, and in a chat each answer comes before the next question is asked."""

    async def run() -> None:
        async with _grpc(bench, _logging_plugin()) as (channel, _, _running):
            streamed = [message async for message in channel.unary_stream("/t.Echo/Stream")(b"m")]
            chat = channel.stream_stream("/t.Echo/Chat")()
            heard = []
            for word in (b"one", b"two"):
                await chat.write(word)
                heard.append(await chat.read())
            await chat.done_writing()

            assert (streamed, heard) == ([b"m0", b"m1", b"m2"], [b"ONE", b"TWO"])
            assert await chat.code() is grpc.StatusCode.OK

    asyncio.run(run())


def test_a_message_larger_than_every_window_goes_through(bench: Any) -> None:
    """Flow control opens the windows again, both ways."""

    async def run() -> None:
        async with _grpc(bench, _logging_plugin()) as (channel, _, _running):
            message = bytes(3_000_000)

            assert await channel.unary_unary("/t.Echo/Say")(message) == message

    asyncio.run(run())


def test_many_calls_share_a_connection(bench: Any) -> None:
    """More calls at once than a connection may have streams all get their answer."""

    async def run() -> None:
        async with _grpc(bench, _logging_plugin()) as (channel, _, _running):
            say = channel.unary_unary("/t.Echo/Say")
            words = [b"%d" % number for number in range(140)]

            assert await asyncio.gather(*(say(word) for word in words)) == words

    asyncio.run(run())


def test_a_cancelled_call_is_cancelled_upstream(bench: Any) -> None:
    """When the client gives a stream up, the upstream learns of it, though it has nothing to send."""
    plugin = _logging_plugin()

    async def run() -> None:
        async with _grpc(bench, plugin) as (channel, echo, running):
            call = channel.unary_stream("/t.Echo/Endless")(b"m")
            await call.read()
            call.cancel()
            await asyncio.wait_for(echo.cancelled.wait(), 5)

            assert (await _record(running, plugin))["response"]["status"] == 200

    asyncio.run(run())


def test_an_upstream_that_is_down_is_an_error_of_grpc(bench: Any) -> None:
    """Kong's 502 comes as a gRPC status with its message."""
    plugin = _logging_plugin()

    async def run() -> None:
        async with _grpc(bench, plugin, service={"port": 9, "retries": 1}) as (channel, _, running):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/t.Echo/Say")(b"hi")
            record = await _record(running, plugin)

            assert caught.value.code() is grpc.StatusCode.INTERNAL
            assert caught.value.details() == "An invalid response was received from the upstream server"
            assert (record["response"]["status"], record["upstream_status"]) == (502, "502, 502")
            assert record["response"]["headers"]["grpc-status"] == "13"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("plugin", "code", "details"),
    [
        ({"name": "key-auth"}, grpc.StatusCode.UNAUTHENTICATED, "Unauthenticated"),
        (
            {"name": "request-termination", "config": {"status_code": 403, "message": "no"}},
            grpc.StatusCode.PERMISSION_DENIED,
            "no",
        ),
    ],
)
def test_a_gateways_refusal_is_a_status_of_grpc(
    bench: Any, plugin: dict[str, Any], code: grpc.StatusCode, details: str
) -> None:
    """A refusal of a bundled plugin arrives as gRPC's code and message for it."""

    async def run() -> None:
        async with _grpc(bench, _logging_plugin(), extra={"plugins": [plugin]}) as (channel, _, _running):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/t.Echo/Say")(b"hi")

            assert (caught.value.code(), caught.value.details()) == (code, details)

    asyncio.run(run())


def test_a_plugins_own_answer_is_a_status_of_grpc(bench: Any) -> None:
    """Of a table that a plugin exits with, a gRPC client gets the message."""
    plugin = ScriptedPlugin({"access": [("kong.response.exit", [404, {"message": "gone"}])], "log": []})

    async def run() -> None:
        async with _grpc(bench, plugin) as (channel, _, _running):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/t.Echo/Say")(b"hi")

            assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "gone")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("lines", "status"), [(b"", 415), (b"Content-Type: application/grpc\r\n", 426)], ids=["http", "grpc-over-1.1"]
)
def test_a_grpc_route_is_for_grpc(bench: Any, fetch: Any, lines: bytes, status: int) -> None:
    """Another request on a gRPC route gets 415, one that is not HTTP/2 gets 426."""

    async def run() -> None:
        async with _grpc(bench, _logging_plugin()) as (_, _, running):
            answer = await fetch(running.gateway.url, "/t.Echo/Say", lines, "POST")

            assert answer.status == status

    asyncio.run(run())
