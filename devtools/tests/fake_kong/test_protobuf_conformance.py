"""The stand-in's side of ProtoBuf against dialogues recorded with Kong 3.9.1 and 3.4.2.

A plugin server writes the recorded bytes in the recorded order. The stand-in must send Kong's frames. The PDK gives
the recorded results, so that the protocol alone is tested.
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from checkout import TRANSCRIPTS
from otlp_tracing_devtools.fake_kong.plugin_rpc import InstanceConfig, PluginError, RpcError
from otlp_tracing_devtools.fake_kong.protobuf_codec import FrameDecoder
from otlp_tracing_devtools.fake_kong.protobuf_rpc import ProtoBufRpc
from otlp_tracing_devtools.fake_kong.protobuf_schema import CALLS, MESSAGES

DIALOGUES = [TRANSCRIPTS / "60-protobuf.jsonl", TRANSCRIPTS / "kong-3.4" / "60-protobuf.jsonl"]


def frames(data: bytes) -> list[bytes]:
    decoder, found = FrameDecoder(), []
    decoder.feed(data)
    while (frame := decoder.next_message()) is not None:
        found.append(frame)
    return found


class Recording:
    """One recorded dialogue, replayed from the plugin server's side, and the PDK that answered in it."""

    def __init__(self, path: Path) -> None:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        pieces = [line for line in lines if line["n"]]
        self._connections = [
            [(line["dir"], base64.b64decode(line["b64"])) for line in pieces if line["conn"] == number]
            for number in sorted({line["conn"] for line in pieces})
        ]
        self.served: list[asyncio.Task[None]] = []
        self.received: list[bytes] = []
        self.calls: list[Any] = []
        self.expected: list[tuple[str | None, bytes]] = []
        self._results: list[tuple[str, bytes | None]] = []
        for connection in self._connections:
            self._read(connection)

    def _read(self, connection: list[tuple[str, bytes]]) -> None:
        """Tell calls from replies; a call of the server's that has no reply threw."""
        unanswered: list[int] = []
        for direction, data in connection:
            found = frames(data)
            if direction == "plugin->kong":
                for name in (frame.decode() for frame in found if frame.startswith(b"kong.")):
                    unanswered.append(len(self._results))
                    self._results.append((name, None))
            elif unanswered:
                position = unanswered.pop(0)
                method = self._results[position][0]
                self._results[position] = (method, found[0])
                self.expected.append((method, found[0]))
            else:
                self.calls.append(MESSAGES["RpcCall"].FromString(found[0]))
                self.expected.append((None, found[0]))

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Be the recorded server on the next connection; close it where the recording ends."""
        connection = self._connections[len(self.served)]
        self.served.append(asyncio.ensure_future(self._serve(connection, reader, writer)))

    async def _serve(
        self, connection: list[tuple[str, bytes]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for direction, data in connection:
            if direction == "plugin->kong":
                writer.write(data)
            else:
                (length,) = struct.unpack("<I", await reader.readexactly(4))
                self.received.append(await reader.readexactly(length))
        writer.close()

    async def call(self, method: str, arguments: Any) -> Any:
        """Give the recorded result, as the PDK gave it to Kong."""
        recorded, frame = self._results.pop(0)
        assert recorded == method
        assert isinstance(arguments, list)
        if frame is None:
            raise PluginError("recorded as a call that throws")
        return result(method, frame)


def result(method: str, frame: bytes) -> Any:
    message: Any = MESSAGES[CALLS[method][1]].FromString(frame)
    if CALLS[method][1] == "Struct":
        return {entry.key.decode(): lines(entry.value) for entry in message.fields}
    if CALLS[method][1] == "String" and message.v:
        return message.v.decode("utf-8", "surrogateescape")
    return None


def lines(value: Any) -> list[str]:
    values = value.list_value.values if value.HasField("list_value") else [value]
    return [item.string_value.decode("utf-8", "surrogateescape") for item in values]


async def replay(recording: Recording, socket: Path) -> list[str]:
    """Make every recorded call; give the errors that Kong had, too."""
    errors = []
    server = await asyncio.start_unix_server(recording.accept, str(socket))
    rpc = ProtoBufRpc(socket, read_timeout_s=5)
    for call in recording.calls:
        try:
            if call.HasField("cmd_start_instance"):
                command = call.cmd_start_instance
                config = InstanceConfig(command.name.decode(), "key", 1, json.loads(command.config))
                await rpc.start_instance(config)
            else:
                event = call.cmd_handle_event
                await rpc.handle_event(event.instance_id, event.event_name.decode(), recording)
        except (PluginError, RpcError) as error:
            errors.append(str(error))
    await asyncio.wait_for(asyncio.gather(*recording.served), 5)
    await rpc.close()
    server.close()
    return errors


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: str(path.relative_to(TRANSCRIPTS)))
async def test_the_stand_in_sends_what_kong_sent(path: Path, tmp_path: Path) -> None:
    """Every reply has the recorded bytes; every call has the same content, with its fields in any order."""
    recording = Recording(path)
    await replay(recording, tmp_path / "s.sock")

    assert len(recording.received) == len(recording.expected)
    for sent, (method, expected) in zip(recording.received, recording.expected, strict=True):
        if method is None:
            assert MESSAGES["RpcCall"].FromString(sent) == MESSAGES["RpcCall"].FromString(expected)
        else:
            assert sent == expected


async def test_the_recorded_faults_are_kongs(tmp_path: Path) -> None:
    """A call that throws, and a server that closes in the middle of an event, twice."""
    errors = await replay(Recording(DIALOGUES[0]), tmp_path / "s.sock")

    assert errors == ["recorded as a call that throws", "closed", "closed"]
