"""The gateway's reaction to every answer of a plugin server, or to none: the recorded facts of Kong 3.9.1."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from otlp_tracing_devtools.fake_kong.msgpack_rpc import MsgPackRpc
from otlp_tracing_devtools.fake_kong.plugin_rpc import PluginError, RpcError
from scripted_plugin_server import (
    ReceivedCall,
    ScriptedPlugin,
    ScriptedPluginServer,
    error_answer,
    result_answer,
)

Script = Callable[[ReceivedCall], "bytes | None"]
_UNEXPECTED = "An unexpected error occurred"


def _in_access(answer: Script) -> Script:
    """Answer the access phase's HandleEvent this way, and everything else like a plugin that does nothing."""
    idle = ScriptedPlugin({"access": [], "log": []})

    def script(call: ReceivedCall) -> bytes | None:
        in_access = call.method == "plugin.HandleEvent" and call.argument[b"EventName"] == b"access"
        return answer(call) if in_access else idle(call)

    return script


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (lambda call: error_answer(call.message_id, "boom"), 200),
        (lambda _call: b"", 200),
        (lambda call: result_answer(call.message_id, None), 200),
        (lambda call: msgpack.packb([2, "serverPid", 1]) + result_answer(call.message_id, {"Data": "ret"}), 200),
        (lambda call: error_answer(call.message_id, {"a": 1}), 500),
        (lambda _call: b"\xc1", 500),
        (lambda _call: b"\x05", 500),
        (lambda call: result_answer(call.message_id, {"EventId": 1}), 500),
        (lambda call: result_answer(call.message_id, {"Data": {"Args": []}, "EventId": 1}), 500),
        (lambda call: result_answer(call.message_id + 1, {"Data": "ret", "EventId": 1}), 500),
    ],
    ids=[
        "an error string", "a closed connection", "a nil result", "a notification first", "an error that is a map",
        "garbage", "a bare number", "no Data", "no Method", "another id",
    ],
)  # fmt: skip
def test_a_strange_answer_costs_the_client_what_it_costs_in_kong(
    bench: Any, fetch: Any, answer: Script, status: int
) -> None:
    """Errors as text and closed connections let the request pass; broken messages are a 500."""

    async def run() -> tuple[int, bytes]:
        async with bench(_in_access(answer)) as running:
            answered = await fetch(running.gateway.url, "/api/x")
            return answered.status, answered.body

    got, body = asyncio.run(run())

    assert got == status
    assert (_UNEXPECTED in body.decode()) == (status == 500)


def test_a_refused_instance_is_a_500(bench: Any, fetch: Any) -> None:
    """An error from StartInstance reaches the client as 500 with Kong's body."""

    async def run() -> Any:
        async with bench(lambda call: error_answer(call.message_id, "bad config")) as running:
            return await fetch(running.gateway.url, "/api/x")

    answered = asyncio.run(run())

    assert answered.status == 500
    assert json.loads(answered.body)["message"] == _UNEXPECTED


def test_a_server_that_cannot_be_reached_is_a_500_only_while_its_instance_is_unknown(bench: Any, fetch: Any) -> None:
    """Before the first start of an instance the client gets 500, afterwards its answer."""

    async def run() -> list[int]:
        plugin = ScriptedPlugin({"access": [], "log": []})
        async with bench(plugin) as running:
            socket = running.server.socket
            hidden = socket.with_suffix(".hidden")
            socket.rename(hidden)
            first = await fetch(running.gateway.url, "/api/x")
            hidden.rename(socket)
            second = await fetch(running.gateway.url, "/api/x")
            await running.server.wait_for(lambda server: len(server.received) >= 3)
            socket.rename(hidden)
            running.server.answer = lambda _call: b""
            third = await fetch(running.gateway.url, "/api/x")
            fourth = await fetch(running.gateway.url, "/api/x")
            return [first.status, second.status, third.status, fourth.status]

    assert asyncio.run(run()) == [500, 200, 200, 200]


def test_a_lost_instance_is_started_again_unseen_by_the_client(bench: Any, fetch: Any) -> None:
    """An answer "no plugin instance" leads to StartInstance and a repeated event."""

    async def run() -> tuple[int, list[str]]:
        plugin = ScriptedPlugin({"access": [], "log": []})
        lost = iter([True])

        def answer(call: ReceivedCall) -> bytes:
            if call.method == "plugin.HandleEvent" and next(lost, False):
                return error_answer(call.message_id, "No plugin instance #7")
            return plugin(call)

        async with bench(answer) as running:
            answered = await fetch(running.gateway.url, "/api/x")
            await running.server.wait_for(lambda server: len(server.received) >= 5)
            return answered.status, [call.method.removeprefix("plugin.") for call in running.server.received]

    status, methods = asyncio.run(run())

    assert status == 200
    assert methods == ["StartInstance", "HandleEvent", "StartInstance", "HandleEvent", "HandleEvent"]


def test_a_silent_server_costs_the_read_timeout_and_no_more(bench: Any, fetch: Any) -> None:
    """A server that hangs lets the request pass once the read timeout is over."""

    async def run() -> int:
        async with bench(_in_access(lambda _call: None), read_timeout_s=0.1) as running:
            status: int = (await fetch(running.gateway.url, "/api/x")).status
        return status

    assert asyncio.run(run()) == 200


def test_a_late_answer_spoils_the_next_call_on_its_connection(tmp_path: Path) -> None:
    """A connection that timed out is used again, as in Kong; the answer that then comes has the wrong id."""
    waiting: list[ReceivedCall] = []

    def answer(call: ReceivedCall) -> bytes | None:
        if not waiting:
            waiting.append(call)
            return None
        late, own = (result_answer(one.message_id, {"Data": "ret"}) for one in (waiting[0], call))
        return late + own

    async def run() -> None:
        async with ScriptedPluginServer(tmp_path / "s.sock", answer) as server:
            rpc = MsgPackRpc(server.socket, read_timeout_s=0.5)  # the second call is to be answered in it
            with pytest.raises(RpcError, match="no data"):
                await rpc.handle_event(1, "access", _NoPdk())
            with pytest.raises(PluginError, match="unexpected RPC response ID"):
                await rpc.handle_event(1, "access", _NoPdk())
            await rpc.close()

    asyncio.run(run())


class _NoPdk:
    """A PDK for events that call nothing."""

    async def call(self, method: str, arguments: Any) -> Any:
        raise AssertionError(f"{method}({arguments}) was not expected")


def test_a_configuration_arrives_as_kong_sends_it(bench: Any, fetch: Any) -> None:
    """Defaults are filled in, unset fields left out, Kong's own keys and the route's id added."""
    plugin = ScriptedPlugin({"access": [], "log": []})
    routes = [{"name": "r-api", "paths": ["/api"], "plugins": [{"name": "scripted", "config": {"tag": "mine"}}]}]

    async def run() -> None:
        async with bench(plugin, service={"routes": routes}) as running:
            await fetch(running.gateway.url, "/api/x")
            await fetch(running.gateway.url, "/nowhere")
            await running.server.wait_for(lambda _server: len(plugin.configurations) == 2)

    asyncio.run(run())
    on_route, everywhere = map(json.loads, plugin.configurations)

    assert on_route["tag"] == "mine"
    assert on_route["__key__"] == f"plugins:scripted:{on_route['route_id']}::::{on_route['__ws_id']}"
    assert set(on_route) == {"tag", "__seq__", "__key__", "__plugin_id", "__ws_id", "route_id"}
    assert everywhere["tag"] == "global"
    assert "route_id" not in everywhere
    assert on_route["__seq__"] != everywhere["__seq__"]


def test_connections_are_kept_and_the_last_used_comes_first(bench: Any, fetch: Any) -> None:
    """Requests one after the other share one connection; ids count up."""

    async def run() -> ScriptedPluginServer:
        async with bench(ScriptedPlugin({"access": [], "log": []})) as running:
            for number in range(1, 4):
                await fetch(running.gateway.url, "/api/x")
                await running.server.wait_for(lambda server, events=2 * number: len(server.received) == 1 + events)
            server: ScriptedPluginServer = running.server
            return server

    server = asyncio.run(run())

    assert {call.connection for call in server.received} == {1}
    assert [call.message_id for call in server.received] == list(range(1, 8))


def test_a_phase_that_throws_in_log_is_not_seen_by_the_client(bench: Any, fetch: Any) -> None:
    """A PDK call that throws ends the log event, and no Step comes back."""
    plugin = ScriptedPlugin({"access": [], "log": [("kong.request.get_method", [])]})

    async def run() -> tuple[int, list[str]]:
        async with bench(plugin) as running:
            answered = await fetch(running.gateway.url, "/api/x")
            await running.server.wait_for(lambda server: len(server.received) == 3)
            return answered.status, [call.method for call in running.server.received]

    status, methods = asyncio.run(run())

    assert status == 200
    assert methods[-1] == "plugin.HandleEvent"
