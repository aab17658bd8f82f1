"""Promises of kong_server/protocol/detection.py."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from checkout import TRANSCRIPTS
from otlp_tracing.kong_server.protocol.detection import OpeningDialogue


class Spoken:
    """A dialogue that keeps all its calls."""

    overdue = True

    def __init__(self) -> None:
        self.idle = False
        self.received = b""
        self.closed = False

    def receive(self, data: bytes, *, settle: bool = False) -> bytes:
        self.received += data
        return b"settled" if settle else b"answer"

    def retire(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True


def first_of_kong(path: Path) -> list[bytes]:
    """Return the first message of every connection in a recording."""
    seen: dict[int, bytes] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        if entry.get("dir") == "kong->plugin" and "b64" in entry:
            seen.setdefault(entry["conn"], base64.b64decode(entry["b64"]))
    return list(seen.values())


def opened(pieces: list[bytes]) -> tuple[Spoken, Spoken, OpeningDialogue]:
    msgpack, protobuf = Spoken(), Spoken()
    dialogue = OpeningDialogue(lambda: msgpack, lambda: protobuf)
    for piece in pieces:
        dialogue.receive(piece)
    return msgpack, protobuf, dialogue


@pytest.mark.parametrize(
    "path", sorted(TRANSCRIPTS.rglob("*.jsonl")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_recorded_connection_is_recognized(path: Path) -> None:
    """Whatever Kong began a connection with, fed whole or byte by byte, the right protocol was found."""
    for data in first_of_kong(path):
        for pieces in ([data], [bytes([byte]) for byte in data]):
            msgpack, protobuf, _ = opened(pieces)
            spoken, other = (protobuf, msgpack) if "protobuf" in path.stem else (msgpack, protobuf)
            assert (spoken.received, other.received) == (data, b"")


def test_a_call_of_148_bytes_is_no_msgpack() -> None:
    """Its length begins like a MessagePack request, and continues with zeros."""
    _, protobuf, _ = opened([b"\x94\x00\x00\x00" + b"x" * 148])

    assert protobuf.received


def test_what_follows_is_the_protocols() -> None:
    """Idle before the first bytes; afterwards its dialogue decides."""
    msgpack, _, dialogue = opened([])
    assert dialogue.idle
    assert not dialogue.overdue
    dialogue.close()
    assert dialogue.receive(b"\x94\x00\x01", settle=True) == b""
    assert dialogue.receive(b"\xa1", settle=True) == b"settled"
    assert not dialogue.idle
    assert dialogue.overdue
    dialogue.close()

    assert msgpack.closed
