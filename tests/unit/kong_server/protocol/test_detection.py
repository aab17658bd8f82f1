"""Promises of kong_server/protocol/detection.py."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from checkout import TRANSCRIPTS
from otlp_tracing.kong_server.protocol.detection import ENOUGH, speaks_msgpack


def first_of_kong(path: Path) -> list[bytes]:
    """Return the first message of every connection in a recording."""
    seen: dict[int, bytes] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        if entry.get("dir") == "kong->plugin" and "b64" in entry:
            seen.setdefault(entry["conn"], base64.b64decode(entry["b64"]))
    return list(seen.values())


@pytest.mark.parametrize(
    "path", sorted(TRANSCRIPTS.rglob("*.jsonl")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_recorded_connection_is_recognized(path: Path) -> None:
    """Whatever Kong began a connection with, its protocol is found."""
    for data in first_of_kong(path):
        assert speaks_msgpack(data[:ENOUGH]) != ("protobuf" in path.stem)


def test_a_call_of_148_bytes_is_no_msgpack() -> None:
    """Its length begins like a MessagePack request, and continues with zeros."""
    assert not speaks_msgpack(b"\x94\x00\x00\x00")
