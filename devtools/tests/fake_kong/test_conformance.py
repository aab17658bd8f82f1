"""The stand-in Kong against dialogues recorded between Kong 3.9.1 or 3.4.2 and kong-pdk 0.36.

A plugin server gives the recorded plugin's answers. The stand-in must send Kong's bytes, except message ids, times and
addresses, and a log record with the same fields of the same types. The recordings were made with the bundled zipkin
plugin on, so its headers and `trace_id` are left out.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import pytest

from checkout import TRANSCRIPTS
from log_records import shape, stable, without_zipkin
from otlp_tracing_devtools.fake_kong import FakeKong, PluginServerCommands, parse_declaration
from otlp_tracing_devtools.fake_kong.version import NEWEST, Version
from scripted_plugin_server import ReceivedCall, ScriptedPluginServer, result_answer
from scripted_upstream import ScriptedUpstream

_CURL = "Host: {host}\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
_DUMP = [
    {
        "Name": "py-probe",
        "Version": "1",
        "Priority": 100,
        "Phases": ["access", "log"],
        "Schema": {
            "name": "py-probe",
            "fields": [{"config": {"type": "record", "fields": [{"tag": {"type": "string"}}]}}],
        },
    }
]


@dataclass(frozen=True)
class Case:
    """A recording, its request, and the client's answer."""

    name: str
    request: str
    status: int
    body: str = ""

    @property
    def version(self) -> Version:
        """Of the Kong that was recorded."""
        return (3, 4) if self.name.startswith("kong-3.4/") else NEWEST


_CASES = [
    Case("01-get-200", f"GET /echo/hello?a=1&a=2 HTTP/1.1\r\n{_CURL}\r\n", 200),
    Case(
        "02-post-201",
        f"POST /echo/things HTTP/1.1\r\n{_CURL}Content-Type: application/json\r\nContent-Length: 17\r\n\r\n",
        201,
        '{"name":"widget"}',
    ),
    Case("04-upstream-down-502", f"GET /down/x HTTP/1.1\r\n{_CURL}\r\n", 502),
    Case("05-no-route-404", f"GET /nothing HTTP/1.1\r\n{_CURL}\r\n", 404),
    Case("06-key-auth-401", f"GET /auth/x HTTP/1.1\r\n{_CURL}\r\n", 401),
    Case("07-key-auth-ok", f"GET /auth/x HTTP/1.1\r\n{_CURL}apikey: alice-key\r\n\r\n", 200),
    Case("08-retry-a", f"GET /retry/x HTTP/1.1\r\n{_CURL}\r\n", 200),
    Case("kong-3.4/01-get-200", f"GET /echo/hello?a=1&a=2 HTTP/1.1\r\n{_CURL}\r\n", 200),
    Case("kong-3.4/04-upstream-down-502", f"GET /down/x HTTP/1.1\r\n{_CURL}\r\n", 502),
    Case("kong-3.4/05-no-route-404", f"GET /none/x HTTP/1.1\r\n{_CURL}\r\n", 404),
    Case("kong-3.4/06-key-auth-401", f"GET /auth/x HTTP/1.1\r\n{_CURL}\r\n", 401),
    Case(
        "kong-3.4/07-key-auth-ok",
        f"GET /auth/x HTTP/1.1\r\n{_CURL}Authorization: Basic YTpi\r\napikey: alice-key\r\n\r\n",
        200,
    ),
    Case("kong-3.4/08-retry-b", f"GET /retry/x HTTP/1.1\r\n{_CURL}\r\n", 200),
]


class Recording:
    """One recorded dialogue: Kong's messages, and the plugin's answer to each call in turn."""

    def __init__(self, name: str) -> None:
        lines = [json.loads(line) for line in (TRANSCRIPTS / f"{name}.jsonl").read_text().splitlines()]
        messages = [(line["dir"], base64.b64decode(line["b64"])) for line in lines if "b64" in line]
        self.calls = [_decode_call(raw) for sender, raw in messages if sender == "kong->plugin"]
        self._answers = [_unpack(raw) for sender, raw in messages if sender == "plugin->kong"]
        self._answered = 0

    @property
    def record(self) -> bytes:
        """The log record that Kong sent."""
        record: bytes = next(call.argument[b"Data"] for call in self.calls if _is_record(call))
        return record

    def answer(self, call: ReceivedCall) -> bytes:
        """Give the plugin's next answer, under the id of this call."""
        if call.method == "plugin.StartInstance":
            return result_answer(call.message_id, {"Id": self.calls[0].argument[b"InstanceId"]})
        answer = self._answers[self._answered]
        self._answered += 1
        return _pack([answer[0], call.message_id, *answer[2:]])


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
async def test_the_stand_in_sends_what_kong_sent(case: Case, tmp_path: Path) -> None:
    """Every call has the recorded bytes, but for its id; the steps with a log record have the same shape."""
    recording = Recording(case.name)
    status, calls = await _replay(case, recording, tmp_path)

    assert status == case.status
    assert [_comparable(call) for call in calls] == [_comparable(call) for call in recording.calls]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
async def test_the_log_record_has_the_fields_kong_gives_it(case: Case, tmp_path: Path) -> None:
    """The record has the same keys with the same types at every depth, and the same values where none is a time."""
    recording = Recording(case.name)
    _, calls = await _replay(case, recording, tmp_path)
    ours = json.loads(next(call.argument[b"Data"] for call in calls if _is_record(call)))
    recorded = without_zipkin(json.loads(recording.record))
    for record in (ours, recorded):  # the upstream of the recordings of 3.4.2 did not name its port
        record["response"]["headers"].pop("x-upstream-port", None)

    assert shape(ours) == shape(recorded)
    assert stable(ours) == stable(recorded)


async def _replay(case: Case, recording: Recording, tmp_path: Path) -> tuple[int, list[ReceivedCall]]:
    """Make the recorded request; give its status and the calls of its events."""
    dump = tmp_path / "dump.json"
    dump.write_text(json.dumps(_DUMP))
    socket = tmp_path / "plugin.sock"
    async with ScriptedUpstream() as upstream, ScriptedPluginServer(socket, recording.answer) as server:
        gateway = FakeKong(
            parse_declaration(_declaration(upstream.port, await _closed_port())),
            [PluginServerCommands("py-probe", socket, f"cat {dump}", "sleep infinity")],
            version=case.version,
        )
        async with gateway:
            await gateway.wait_for_plugin_servers()
            host = gateway.url.removeprefix("http://")
            status = await _status_of(host, case.request.format(host=host) + case.body)
            expected = len(recording.calls)
            await server.wait_for(lambda server: len(_event_calls(server)) == expected)
            return status, _event_calls(server)


def _event_calls(server: ScriptedPluginServer) -> list[ReceivedCall]:
    return [call for call in server.received if call.method != "plugin.StartInstance"]


async def _status_of(host: str, request: str) -> int:
    address, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    writer.write(request.encode())
    status_line = await reader.readline()
    writer.close()
    return int(status_line.split()[1])


async def _closed_port() -> int:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


def _declaration(open_port: int, closed_port: int) -> dict[str, Any]:
    def service(name: str, **fields: Any) -> dict[str, Any]:
        routes = [{"name": f"r-{name}", "paths": [f"/{name}"]}]
        return {"name": name, "host": "127.0.0.1", "port": open_port, "routes": routes, **fields}

    targets = [{"target": f"127.0.0.1:{closed_port}"}, {"target": f"127.0.0.1:{open_port}"}]
    return {
        "_format_version": "3.0",
        "services": [
            service("echo"),
            service("down", port=closed_port, retries=2),
            service("auth", plugins=[{"name": "key-auth"}]),
            service("retry", host="retry.upstream", port=80, retries=3),
        ],
        "upstreams": [{"name": "retry.upstream", "targets": targets}],
        "consumers": [
            {"username": "alice", "custom_id": "alice-id", "keyauth_credentials": [{"key": "alice-key"}]},
        ],
        "plugins": [{"name": "py-probe", "config": {"tag": "global"}}],
    }


def _pack(message: list[Any]) -> bytes:
    packed: bytes = msgpack.packb(message, use_bin_type=False)
    return packed


def _unpack(raw: bytes) -> Any:
    return msgpack.unpackb(raw, raw=True, strict_map_key=False)


def _decode_call(raw: bytes) -> ReceivedCall:
    _, message_id, method, arguments = _unpack(raw)
    return ReceivedCall(0, raw, message_id, method.decode(), arguments[0])


def _is_record(call: ReceivedCall) -> bool:
    data = call.argument.get(b"Data")
    return isinstance(data, bytes) and data.startswith(b"{")


def _comparable(call: ReceivedCall) -> tuple[str, bytes]:
    """The method and the bytes behind the message's id; of a log record only that it is one."""
    if _is_record(call):
        return call.method, b"a log record"
    prefix = len(msgpack.packb([0, call.message_id]))
    return call.method, call.raw[prefix:]
