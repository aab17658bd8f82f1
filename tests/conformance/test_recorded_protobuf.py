"""The recorded ProtoBuf dialogues, Kong 3.9.1 and 3.4.2, through kong_server/protocol/protobuf.py, both ways."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from checkout import TRANSCRIPTS
from otlp_tracing.kong_server.protocol import protobuf as rpc
from otlp_tracing.kong_server.protocol.protobuf_messages import ARGUMENTS, METHODS, REPLIES
from otlp_tracing_devtools.fake_kong.protobuf_schema import CALLS, MESSAGES

DIALOGUES = [TRANSCRIPTS / "60-protobuf.jsonl", TRANSCRIPTS / "kong-3.4" / "60-protobuf.jsonl"]
FROM_KONG, TO_KONG = "kong->plugin", "plugin->kong"


@dataclass
class Written:
    """A frame in a dialogue: its writer, and the method that a reply answers or that an argument belongs to."""

    direction: str
    frame: bytes
    method: str | None = None


def pieces(path: Path, direction: str) -> dict[int, list[bytes]]:
    """The written bytes, piece by piece, on each connection."""
    found: dict[int, list[bytes]] = {}
    for line in map(json.loads, path.read_text().splitlines()):
        if line["dir"] == direction:
            found.setdefault(line["conn"], []).append(base64.b64decode(line["b64"]))
    return found


def written(path: Path) -> Iterator[Written]:
    """Every frame, connection by connection; a frame of Kong's answers the first call that has no answer yet."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for connection in sorted({line["conn"] for line in lines}):
        unanswered: list[str] = []
        for line in lines:
            if line["conn"] != connection or line["dir"] not in {FROM_KONG, TO_KONG}:
                continue
            previous = b""
            for frame in rpc.FrameDecoder().feed(base64.b64decode(line["b64"])):
                method = None
                if line["dir"] == FROM_KONG:
                    method = unanswered.pop(0) if unanswered else None
                elif previous.startswith(b"kong."):
                    unanswered.append(method := previous.decode())
                previous = frame
                yield Written(line["dir"], frame, method)


def plain(message: Any) -> Any:
    """The content of a Value, read by google.protobuf."""
    kind = message.WhichOneof("kind")
    if kind == "list_value":
        return [plain(item) for item in message.list_value.values]
    value = getattr(message, kind)
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def read_by_google(method: str, frame: bytes) -> Any:
    """A reply as google.protobuf reads it, in the shape that MessagePack gives it."""
    message: Any = MESSAGES[CALLS[method][1]].FromString(frame)
    if CALLS[method][1] == "Struct":
        found = {entry.key.decode(): plain(entry.value) for entry in message.fields}
        return {name: lines if isinstance(lines, list) else [lines] for name, lines in found.items()}
    if CALLS[method][1] == "String":
        return message.v.decode("utf-8", "surrogateescape") or None
    assert CALLS[method][1] == "Empty"
    return None


def arguments(method: str, frame: bytes) -> list[Any]:
    """The arguments that a plugin gave, read by google.protobuf."""
    message: Any = MESSAGES[CALLS[method][0]].FromString(frame)
    if CALLS[method][0] == "KV":
        return [message.k.decode(), plain(message.v) if message.HasField("v") else None]
    return [] if CALLS[method][0] == "Empty" else [message.v]


def named(path: Path) -> str:
    return str(path.relative_to(TRANSCRIPTS))


@pytest.mark.parametrize("path", DIALOGUES, ids=named)
@pytest.mark.parametrize("direction", [FROM_KONG, TO_KONG])
def test_frames_come_in_any_pieces(path: Path, direction: str) -> None:
    """As they were written, all at once, and byte by byte: the same frames, and nothing is left over."""
    for sent in pieces(path, direction).values():
        recorded, whole, bytewise = rpc.FrameDecoder(), rpc.FrameDecoder(), rpc.FrameDecoder()
        data = b"".join(sent)
        expected = [frame for piece in sent for frame in recorded.feed(piece)]

        assert b"".join(map(rpc.encode_frame, expected)) == data
        assert list(whole.feed(data)) == expected
        assert [frame for byte in data for frame in bytewise.feed(bytes((byte,)))] == expected


@pytest.mark.parametrize("path", DIALOGUES, ids=named)
def test_every_call_of_kongs_is_read(path: Path) -> None:
    """Each call is the one that the recorder noted in words."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    notes = [line["note"] for line in lines if line["dir"] == FROM_KONG and line["note"].startswith("sequence: ")]
    calls = [rpc.decode_call(one.frame) for one in written(path) if one.direction == FROM_KONG and not one.method]

    assert len(calls) == len(notes)
    for call, note in zip(calls, notes, strict=True):
        assert f"sequence: {call.sequence} " in note
        if isinstance(call, rpc.HandleEvent):
            assert f'instance_id: {call.instance_id}   event_name: "{call.event_name}"' in note
        else:
            assert isinstance(call, rpc.StartInstance)
            assert call.name == "min"
            assert json.loads(call.config)["message"] == "x"


@pytest.mark.parametrize("path", DIALOGUES, ids=named)
def test_every_reply_of_kongs_is_read(path: Path) -> None:
    """Each reply equals google.protobuf's reading of it, bytes that are not UTF-8 included."""
    replies = [one for one in written(path) if one.method and one.direction == FROM_KONG]

    assert len(replies) > 20
    for reply in replies:
        assert reply.method
        read = REPLIES[CALLS[reply.method][1]]
        assert read(reply.frame) == read_by_google(reply.method, reply.frame)


def test_a_repeated_header_and_one_of_any_bytes() -> None:
    """Kong gives a repeated header as a list, and a Latin-1 byte as it came."""
    replies = [
        rpc.decode_reply(one.method, one.frame)
        for one in written(DIALOGUES[0])
        if one.direction == FROM_KONG and one.method == "kong.request.get_headers"
    ]

    assert replies[0]["x-multi"] == ["a", "b"]
    assert replies[1]["x-bin"] == ["caf\udce9"]


@pytest.mark.parametrize("path", DIALOGUES, ids=named)
def test_every_call_of_the_servers_is_written(path: Path) -> None:
    """The same calls with the same arguments, as Kong understood them, are the same bytes."""
    frames = [one for one in written(path) if one.direction == TO_KONG]
    calls = [(name.frame, message) for name, message in pairwise(frames) if message.method]

    assert len(calls) > 20
    for name, message in calls:
        assert message.method
        given, write = arguments(message.method, message.frame), ARGUMENTS[CALLS[message.method][0]]
        assert write(given) == message.frame
        if message.method in METHODS:
            assert rpc.encode_call(message.method, given) == rpc.encode_frame(name) + rpc.encode_frame(message.frame)


@pytest.mark.parametrize("path", DIALOGUES, ids=named)
def test_every_return_is_written(path: Path) -> None:
    """A started instance and the end of each event, as Kong understood them, are the same bytes."""
    call: Any = None
    returns = 0
    for one in written(path):
        if one.direction == FROM_KONG and not one.method:
            call = rpc.decode_call(one.frame)
        elif one.frame.startswith(b"\x08") and not one.method and call:
            message: Any = MESSAGES["RpcReturn"].FromString(one.frame)
            status = message.instance_status
            expected = rpc.encode_return(call.sequence)
            if isinstance(call, rpc.StartInstance):
                expected = rpc.encode_start_return(call.sequence, call.name, status.instance_id, b"", status.started_at)
            assert rpc.encode_frame(one.frame) == expected
            returns, call = returns + 1, None

    assert returns > 10
