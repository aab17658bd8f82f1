"""The gateway's reaction to every answer of a ProtoBuf server, or to none: the recorded facts of Kong 3.9.1."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from termios import FIONREAD
from typing import Any

import pytest

from otlp_tracing_devtools.fake_kong import PluginServerCommands, StandInGateway, instances, parse_declaration
from otlp_tracing_devtools.fake_kong.protobuf_codec import FrameDecoder, encode_frame
from otlp_tracing_devtools.fake_kong.protobuf_schema import MESSAGES
from scripted_upstream import ScriptedUpstream

DUMP = {
    "Protocol": "ProtoBuf:1",
    "Plugins": [
        {
            "Name": "scripted",
            "Version": "1",
            "Priority": 1000,
            "Phases": ["access", "log"],
            "Schema": {"name": "scripted", "fields": [{"config": {"type": "record", "fields": []}}]},
        }
    ],
}
END = b""


class Peer:
    """The server's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def frame(self) -> bytes:
        (length,) = struct.unpack("<I", await self.reader.readexactly(4))
        return await self.reader.readexactly(length)

    def write(self, *frames: bytes) -> None:
        self.writer.write(b"".join(map(encode_frame, frames)))

    def end(self, call: Any) -> None:
        """End an event in good order."""
        self.write(END, returned(call.sequence))


def returned(sequence: int, **fields: Any) -> bytes:
    return MESSAGES["RpcReturn"](sequence=sequence, **fields).SerializeToString()


def key_value(key: bytes, value: bytes) -> bytes:
    return MESSAGES["KV"](k=key, v={"string_value": value}).SerializeToString()


Script = Callable[[Peer, Any], Awaitable[None]]
"""Serves one access event; after a script that returns without an end the connection stays open."""


@dataclass
class Server:
    """A plugin server that serves access as a script says; it starts every instance, and ends every log at once."""

    access: Script
    started: int = 0
    events: list[tuple[int, str, int]] = field(default_factory=list)
    connections: int = 0
    dropped: asyncio.Event = field(default_factory=asyncio.Event)
    logs: list[bytes] = field(default_factory=list)
    logged: asyncio.Event = field(default_factory=asyncio.Event)
    status: bool = True
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.append(asyncio.ensure_future(self._serve(self.connections, Peer(reader, writer))))

    async def _serve(self, number: int, peer: Peer) -> None:
        try:
            while True:
                call: Any = MESSAGES["RpcCall"].FromString(await peer.frame())
                await self._take(number, peer, call)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.dropped.set()
        finally:
            peer.writer.close()

    async def _take(self, number: int, peer: Peer, call: Any) -> None:
        if call.WhichOneof("kind") == "cmd_start_instance":
            self.started += 1
            peer.write(
                returned(call.sequence, **({"instance_status": {"instance_id": self.started}} if self.status else {}))
            )
            return
        event = call.cmd_handle_event
        self.events.append((event.instance_id, event.event_name.decode(), number))
        if event.event_name == b"access":
            await self.access(peer, call)
            return
        peer.write(b"kong.log.serialize", b"", END, returned(call.sequence))
        self.logs.append(await peer.frame())
        self.logged.set()


async def idle(peer: Peer, call: Any) -> None:
    peer.end(call)


@dataclass(frozen=True)
class Bench:
    """A running gateway between an upstream and a plugin server."""

    gateway: StandInGateway
    upstream: ScriptedUpstream
    server: Server
    socket: Path


@contextlib.asynccontextmanager
async def running(tmp_path: Path, access: Script = idle, **options: Any) -> AsyncIterator[Bench]:
    dump, socket, server = tmp_path / "dump.json", tmp_path / "plugin.sock", Server(access)
    dump.write_text(json.dumps(DUMP))
    listening = await asyncio.start_unix_server(server.accept, str(socket))
    try:
        async with ScriptedUpstream() as upstream:
            api = {"name": "api", "host": "127.0.0.1", "port": upstream.port, "routes": [{"paths": ["/api"]}]}
            content = {"_format_version": "3.0", "services": [api], "plugins": [{"name": "scripted"}]}
            commands = [PluginServerCommands("scripted", socket, f"cat {dump}")]
            async with StandInGateway(parse_declaration(content), commands, **options) as gateway:
                yield Bench(gateway, upstream, server, socket)
    finally:
        listening.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)


def test_an_event_written_ahead_is_answered_call_by_call(tmp_path: Path, fetch: Any) -> None:
    """Three calls, the end and the return come in one piece; each call has its effect and its reply."""
    replies: list[bytes] = []

    async def access(peer: Peer, call: Any) -> None:
        peer.write(
            b"kong.service.request.set_header", key_value(b"traceparent", b"00-01"),
            b"kong.log.set_serialize_value", key_value(b"otlp_tracing", b"ctx"),
            b"kong.request.get_header", MESSAGES["String"](v=b"x-in").SerializeToString(),
            END, returned(call.sequence),
        )  # fmt: skip
        replies.extend([await peer.frame(), await peer.frame(), await peer.frame()])

    async def run() -> tuple[int, Bench]:
        async with running(tmp_path, access) as bench:
            answered = await fetch(bench.gateway.url, "/api/x", b"X-In: caf\xe9\r\n")
            await asyncio.wait_for(bench.server.logged.wait(), 5)
            return answered.status, bench

    status, bench = asyncio.run(run())
    (upstream,) = bench.upstream.calls
    record: Any = MESSAGES["String"].FromString(bench.server.logs[0])

    assert status == 200
    assert upstream.headers.get("traceparent") == "00-01"
    assert replies == [b"", b"", MESSAGES["String"](v=b"caf\xe9").SerializeToString()]
    assert json.loads(record.v.decode("latin-1"))["otlp_tracing"] == "ctx"


def test_one_connection_carries_all_events(tmp_path: Path, fetch: Any) -> None:
    """Requests one after the other share a connection and an instance; the sequence begins with 2."""
    sequences: list[int] = []

    async def access(peer: Peer, call: Any) -> None:
        sequences.append(call.sequence)
        peer.end(call)

    async def run() -> Server:
        async with running(tmp_path, access) as bench:
            for _ in range(3):
                await fetch(bench.gateway.url, "/api/x")
                await asyncio.wait_for(bench.server.logged.wait(), 5)
                bench.server.logged.clear()
            return bench.server

    server = asyncio.run(run())

    assert server.events == [(1, phase, 1) for _ in range(3) for phase in ("access", "log")]
    assert sequences == [3, 5, 7]  # 2 started the instance


def _answer_once(then: Script) -> Script:
    first = iter([True])

    async def access(peer: Peer, call: Any) -> None:
        await (then if next(first, False) else idle)(peer, call)

    return access


async def close(peer: Peer, _call: Any) -> None:
    peer.writer.close()


async def close_in_the_middle(peer: Peer, _call: Any) -> None:
    peer.write(b"kong.request.get_header", MESSAGES["String"](v=b"x").SerializeToString())
    await peer.frame()
    peer.writer.close()


@pytest.mark.parametrize("access", [close, close_in_the_middle])
def test_a_closed_connection_is_unseen_by_the_client(tmp_path: Path, fetch: Any, access: Script) -> None:
    """Before the first call or in the middle: the instance is started again and the event repeated."""

    async def run() -> tuple[int, Server]:
        async with running(tmp_path, _answer_once(access)) as bench:
            return (await fetch(bench.gateway.url, "/api/x")).status, bench.server

    status, server = asyncio.run(run())

    assert status == 200
    assert [event[:2] for event in server.events[:2]] == [(1, "access"), (2, "access")]


def test_a_server_that_always_closes_ends_with_an_error(
    tmp_path: Path, fetch: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where Kong spins for ever the stand-in gives up after many tries, and says so."""
    monkeypatch.setattr(instances, "_MAX_RESTARTS", 20)

    async def run() -> tuple[int, Server]:
        async with running(tmp_path, close) as bench:
            return (await fetch(bench.gateway.url, "/api/x")).status, bench.server

    status, server = asyncio.run(run())

    assert status == 500
    assert len([phase for _, phase, _ in server.events if phase == "access"]) == 20
    assert "repeated 20 times" in caplog.text


async def hang(peer: Peer, _call: Any) -> None:
    await peer.reader.read()


async def throw(peer: Peer, call: Any) -> None:
    peer.write(b"kong.service.request.set_header", MESSAGES["KV"](k=b"X-A").SerializeToString())
    peer.end(call)


async def unknown(peer: Peer, call: Any) -> None:
    peer.write(b"kong.request.get_body", b"")
    peer.end(call)


async def broken_argument(peer: Peer, call: Any) -> None:
    peer.write(b"kong.request.get_header", b"\xff")
    peer.end(call)


async def no_maximum(peer: Peer, call: Any) -> None:
    peer.write(b"kong.request.get_headers", b"")
    peer.end(call)


async def other_sequence(peer: Peer, call: Any) -> None:
    peer.write(END, returned(call.sequence + 1))


async def no_return(peer: Peer, _call: Any) -> None:
    peer.write(END, b"\xff\xff")


async def endless_frame(peer: Peer, _call: Any) -> None:
    peer.writer.write(b"\xff\xff\xff\xff")


async def reset(peer: Peer, _call: Any) -> None:
    """Close with bytes unread, as the kernel does for a process that was killed."""
    connection = peer.writer.get_extra_info("socket")
    assert isinstance(peer.writer.transport, asyncio.Transport)
    peer.writer.transport.pause_reading()
    peer.write(b"kong.request.get_header", MESSAGES["String"](v=b"x").SerializeToString())
    while not ioctl(connection.fileno(), FIONREAD, b"\0\0\0\0") > b"\0\0\0\0":
        await asyncio.sleep(0)
    peer.writer.transport.abort()


@pytest.mark.parametrize(
    "access",
    [hang, throw, unknown, broken_argument, no_maximum, other_sequence, no_return, endless_frame, reset],
    ids=lambda script: script.__name__,
)
def test_everything_else_is_a_500(tmp_path: Path, fetch: Any, access: Script) -> None:
    """Silence, a PDK call that throws, a broken protocol, a reset connection: 500, and the connection is closed."""

    async def run() -> tuple[int, bytes]:
        async with running(tmp_path, access, read_timeout_s=0.3) as bench:
            answered = await fetch(bench.gateway.url, "/api/x")
            await asyncio.wait_for(bench.server.dropped.wait(), 5)
            assert not bench.upstream.calls
            return answered.status, answered.body

    status, body = asyncio.run(run())

    assert status == 500
    assert b"An unexpected error occurred" in body


def test_a_server_that_cannot_be_reached_is_a_500(tmp_path: Path, fetch: Any) -> None:
    """Whether its instance is known or not, unlike over MessagePack."""

    async def run() -> list[int]:
        async with running(tmp_path) as bench:
            hidden = bench.socket.with_suffix(".hidden")
            bench.socket.rename(hidden)
            first = await fetch(bench.gateway.url, "/api/x")
            hidden.rename(bench.socket)
            second = await fetch(bench.gateway.url, "/api/x")
            await asyncio.wait_for(bench.server.logged.wait(), 5)
            bench.socket.rename(hidden)
            bench.server.access = close  # the pooled connection still exists, and is lost with this
            third = await fetch(bench.gateway.url, "/api/x")
            fourth = await fetch(bench.gateway.url, "/api/x")
            return [answered.status for answered in (first, second, third, fourth)]

    assert asyncio.run(run()) == [500, 200, 500, 500]


def test_an_instance_that_is_not_answered_whole_is_a_500(tmp_path: Path, fetch: Any) -> None:
    """A StartInstance answer without instance_status is an error in Lua."""

    async def run() -> int:
        async with running(tmp_path) as bench:
            bench.server.status = False
            status: int = (await fetch(bench.gateway.url, "/api/x")).status
            return status

    assert asyncio.run(run()) == 500


def test_a_plugin_can_answer_the_client(tmp_path: Path, fetch: Any) -> None:
    """After kong.response.exit nothing more is answered, and the connection is given up."""

    async def access(peer: Peer, call: Any) -> None:
        peer.write(b"kong.response.exit", MESSAGES["ExitArgs"](status=418, body=b"teapot").SerializeToString())
        peer.end(call)

    async def run() -> tuple[int, bytes]:
        async with running(tmp_path, access) as bench:
            answered = await fetch(bench.gateway.url, "/api/x")
            await asyncio.wait_for(bench.server.dropped.wait(), 5)
            return answered.status, answered.body

    assert asyncio.run(run()) == (418, b"teapot")


def test_the_frames_of_a_piece_are_told_apart() -> None:
    """The stand-in's decoder reads the messages that the tests' peer writes."""
    decoder = FrameDecoder()
    decoder.feed(encode_frame(b"a") + encode_frame(END))

    assert [decoder.next_message(), decoder.next_message(), decoder.next_message()] == [b"a", END, None]
