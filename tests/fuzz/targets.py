"""The parsers, each with the invariant that is fuzzed: bytes give messages or a WireError, never anything else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from checkout import TRANSCRIPTS
from otlp_tracing.errors import WireError
from otlp_tracing.handoff import frames
from otlp_tracing.kong_server.protocol import msgpack as rpc_msgpack
from otlp_tracing.kong_server.protocol import protobuf as rpc_protobuf
from otlp_tracing.kong_server.protocol.protobuf_messages import METHODS
from otlp_tracing.logs.lines import LogLine
from otlp_tracing.sidecar.ingest import request_record

_REPLIES = tuple(METHODS)


@dataclass(frozen=True)
class Target:
    """One parser.

    Args:
        read: takes the pieces that one connection brings; returns, or raises WireError.
        seeds: sound inputs to mutate.
    """

    read: Callable[[Sequence[bytes]], None]
    seeds: Callable[[], list[bytes]]


def _msgpack(pieces: Sequence[bytes]) -> None:
    decoder = rpc_msgpack.Decoder()
    for piece in pieces:
        for _ in decoder.feed(piece):
            pass


def _protobuf(pieces: Sequence[bytes]) -> None:
    decoder = rpc_protobuf.FrameDecoder()
    for piece in pieces:
        for frame in decoder.feed(piece):
            _protobuf_frame(frame)


def _protobuf_frame(frame: bytes) -> None:
    for method in _REPLIES:
        try:
            rpc_protobuf.decode_reply(method, frame)
        except WireError:
            continue
    rpc_protobuf.decode_call(frame)


def _handed_over(pieces: Sequence[bytes]) -> None:
    decoder = frames.Decoder()
    for piece in pieces:
        for _ in decoder.feed(piece):
            pass


def _log(pieces: Sequence[bytes]) -> None:
    request_record.decode(b"".join(pieces))


def _recorded(pattern: str) -> list[bytes]:
    lines = [line for path in sorted(TRANSCRIPTS.rglob(pattern)) for line in path.read_text().splitlines()]
    entries = (json.loads(line) for line in lines)
    return [base64.b64decode(entry["b64"]) for entry in entries if "b64" in entry]


def _some_frames() -> list[bytes]:
    key = b"k" * 16
    kinds: list[frames.Frame] = [
        frames.Hello(frames.VERSION, b"sender-1"),
        frames.Config(key, b'{"sampling":{"rate":0.5}}'),
        frames.Record(1, key, b'{"request":{"uri":"/"}}'),
        frames.Totals([("name_total", ("label",), 3)]),
        frames.Ack(7),
        frames.Rates(key, 0.5, [2.5, 0.0]),
        frames.Warnings([LogLine(1.5, "worker 0", "ERROR", "otlp_tracing.x", "text")]),
        frames.Refused("id", "route", "", ["endpoint: is no address"]),
    ]
    greeting = frames.encode(kinds[0])
    return [greeting + frames.encode(frame) for frame in kinds]


def _logs() -> list[bytes]:
    return [path.read_bytes() for path in sorted(TRANSCRIPTS.rglob("*.serialize.json"))]


TARGETS: Mapping[str, Target] = {
    "msgpack": Target(_msgpack, lambda: _recorded("0*.jsonl") + _recorded("3*.jsonl")),
    "protobuf": Target(_protobuf, lambda: _recorded("60-protobuf.jsonl")),
    "frames": Target(_handed_over, _some_frames),
    "log": Target(_log, _logs),
}
