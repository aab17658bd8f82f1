"""The recorded MessagePack dialogues, Kong 3.9.1 and 3.4.2, through kong_server/protocol/msgpack.py, both ways."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from checkout import TRANSCRIPTS
from otlp_tracing.kong_server.protocol.msgpack import Decoder, Request, encode_error, encode_result

DIALOGUES = [path for path in sorted(TRANSCRIPTS.rglob("*.jsonl")) if "protobuf" not in path.name]


def messages(path: Path, direction: str) -> list[bytes]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [base64.b64decode(line["b64"]) for line in lines if line.get("dir") == direction and "b64" in line]


def recorded(path: Path, direction: str) -> list[Any]:
    return [
        msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogateescape")
        for data in messages(path, direction)
    ]


def named(path: Path) -> str:
    return str(path.relative_to(TRANSCRIPTS))


@pytest.mark.parametrize("path", DIALOGUES, ids=named)
def test_every_recorded_request_is_read(path: Path) -> None:
    """Kong's bytes give the recorded requests, message by message, all at once, and byte by byte."""
    sent = messages(path, "kong->plugin")
    expected = [Request(*message[1:]) for message in recorded(path, "kong->plugin")]
    whole, bytewise = Decoder(), Decoder()

    assert expected
    assert [request for data in sent for request in whole.feed(data)] == expected
    assert list(Decoder().feed(b"".join(sent))) == expected
    assert [request for byte in b"".join(sent) for request in bytewise.feed(bytes((byte,)))] == expected


@pytest.mark.parametrize("path", DIALOGUES, ids=named)
def test_every_recorded_request_reads_as_it_was_noted(path: Path) -> None:
    """The recorder's method and message number are those that the parser reads."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    noted = [line["msg"] for line in lines if line.get("dir") == "kong->plugin" and "msg" in line]
    read = list(Decoder().feed(b"".join(messages(path, "kong->plugin"))))

    assert [(request.id, request.method) for request in read] == [(note[1], note[2]) for note in noted]


@pytest.mark.parametrize("path", DIALOGUES, ids=named)
def test_every_recorded_answer_is_written(path: Path) -> None:
    """Bytes that Kong understood, from its own plugin server, equal the bytes that this server writes."""
    answers = recorded(path, "plugin->kong")
    written = [
        encode_result(identifier, result) if error is None else encode_error(identifier, error)
        for _, identifier, error, result in answers
    ]

    assert answers
    assert written == messages(path, "plugin->kong")


def test_every_dialogue_is_there() -> None:
    """The recordings are not lost on the way: 11 of Kong 3.9.1, 6 of 3.4.2."""
    assert len(DIALOGUES) == 17
