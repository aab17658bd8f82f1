"""The recorded MessagePack dialogues drive the server: Kong's bytes in, the recorded answers out, byte for byte.

The plugin is a double that makes the recorded calls, event by event, and gets Kong's recorded replies. Numbers of
instances and events are the recorded ones.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest
from kong_pdk.module import Module

from checkout import TRANSCRIPTS
from otlp_tracing.kong_server.instances import Calls, Instances
from otlp_tracing.kong_server.protocol.msgpack_session import MsgPackEvents, MsgPackSession

DIALOGUES = [path for path in sorted(TRANSCRIPTS.rglob("*.jsonl")) if "protobuf" not in path.name]


class Replayed:
    """A plugin that makes recorded calls."""

    scripts: Iterator[Sequence[dict[str, Any]]] = iter(())

    def __init__(self, config: object) -> None:
        pass

    def access_calls(self) -> Calls:
        for call in next(self.scripts):
            yield (call["Method"], *call["Args"])

    access = log = rewrite = None  # which phases there are
    log_calls = rewrite_calls = access_calls


class module:  # noqa: N801  # what kong_pdk takes for a module
    Plugin = Replayed


def read(data: bytes) -> Any:
    return msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogateescape")


def dialogue_of(path: Path) -> list[tuple[bytes, bytes]]:
    """Return Kong's requests that have an answer, each with it, but for those about instances."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    answers: dict[tuple[int, int], bytes] = {}
    asked: list[tuple[tuple[int, int], bytes]] = []
    for entry in entries:
        if "b64" not in entry:
            continue
        data = base64.b64decode(entry["b64"])
        message = read(data)
        key = (entry["conn"], message[1])
        if entry["dir"] == "plugin->kong":
            answers[key] = data
        elif not message[2].endswith("Instance"):
            asked.append((key, data))
    return [(data, answers[key]) for key, data in asked if key in answers]


def replay(pairs: Sequence[tuple[bytes, bytes]]) -> MsgPackEvents:
    """Return a server with the recorded plugin and the recorded numbers."""
    results = [read(answer)[3] for _, answer in pairs]
    scripts: dict[int, list[dict[str, Any]]] = {}
    for result in results:
        calls = scripts.setdefault(result["EventId"], [])
        if result["Data"] != "ret":
            calls.append(result["Data"])
    Replayed.scripts = iter(list(scripts.values()))
    instances = Instances(Module("replayed", module=module))
    numbers = [
        argument["InstanceId"] for argument in (read(asked)[3][0] for asked, _ in pairs) if "InstanceId" in argument
    ]
    instances._instances = dict.fromkeys(numbers, Replayed({}))
    return MsgPackEvents(instances, event_numbers=iter(list(scripts)))


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: str(path.relative_to(TRANSCRIPTS)))
def test_a_recorded_dialogue_is_answered_as_it_was(path: Path, bytewise: bool) -> None:
    """Every answer is the recorded one, whatever the pieces that Kong's bytes come in."""
    pairs = [pair for pair in dialogue_of(path) if read(pair[1])[2] is None]
    session = MsgPackSession(replay(pairs))

    assert pairs
    for asked, answer in pairs:
        pieces = [bytes([byte]) for byte in asked] if bytewise else [asked]
        assert [session.receive(piece) for piece in pieces] == [*[b""] * (len(pieces) - 1), answer]
