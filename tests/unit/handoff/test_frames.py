"""Promises of handoff/frames.py."""

from __future__ import annotations

import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.errors import FrameTooLarge, WireError
from otlp_tracing.handoff.frames import (
    MAX_FRAME_BYTES,
    VERSION,
    Ack,
    Config,
    Debug,
    Decoder,
    Frame,
    Hello,
    Policy,
    Rates,
    Record,
    Refused,
    Totals,
    Warnings,
    encode,
)
from otlp_tracing.logs.lines import LogLine

HELLO = Hello(VERSION, b"sender-1")
FRAMES: list[Frame] = [
    HELLO,
    Config(b"k" * 16, b"{}"),
    Record(1, b"k" * 16, b'{"request":{"uri":"/\xff"}}'),
    Totals([("otlp_tracing_events_failed_total", ("access",), 3)]),
    Ack(7),
    Rates(b"k" * 16, 0.5, [2.5, 0.0]),
    Policy(b"[]"),
    Debug(b"{}", 60, 10),
    Debug(b"{}", 60, 10, "jane, process 7"),
    Warnings([LogLine(1.5, "worker 0", "ERROR", "otlp_tracing.x", "text")]),
    Refused("id", "route", "", ["endpoint: is required"]),
]


def test_frames_survive_the_wire() -> None:
    """Each side decodes the frames that the other encodes."""
    assert list(Decoder().feed(b"".join(map(encode, FRAMES)))) == FRAMES


def test_frames_survive_in_pieces() -> None:
    """The bytes may come one at a time."""
    decoder = Decoder()
    found = [frame for byte in b"".join(map(encode, FRAMES)) for frame in decoder.feed(bytes([byte]))]

    assert found == FRAMES


def test_version_1_does_not_change() -> None:
    """A golden frame: a change of the format needs a change of VERSION."""
    assert (
        encode(Record(1, b"k" * 16, b"{}")).hex() == "00000019" + "94" + "02" + "01" + "c410" + "6b" * 16 + "c4027b7d"
    )


def test_version_2_does_not_change() -> None:
    """Nor do its additions."""
    assert encode(Rates(b"k" * 16, 1.0, [2.5])).hex() == (
        "00000027" + "94" + "05" + "c410" + "6b" * 16 + "cb3ff0000000000000" + "91" + "cb4004000000000000"
    )


def test_version_3_does_not_change() -> None:
    """Nor do its additions."""
    assert encode(Warnings([LogLine(1.0, "a", "b", "c", "d")])).hex() == (
        "00000015" + "92" + "06" + "91" + "95" + "cb3ff0000000000000" + "a161" + "a162" + "a163" + "a164"
    )


def test_version_4_does_not_change() -> None:
    """Nor do its additions."""
    assert encode(Policy(b"[]")).hex() == "00000006" + "92" + "07" + "c402" + "5b5d"
    head = "08" + "c402" + "7b7d" + "3c" + "0a"
    assert encode(Debug(b"{}", 60, 10)).hex() == "00000008" + "94" + head
    assert encode(Debug(b"{}", 60, 10, "jane")).hex() == "0000000d" + "95" + head + "a4" + b"jane".hex()


def test_version_5_does_not_change() -> None:
    """Nor does the kind that it adds."""
    assert encode(Refused("a", "b", "", ["c"])).hex() == "0000000a" + "95" + "09" + "a161" + "a162" + "a0" + "91a163"


def test_version_1_is_still_understood() -> None:
    """A gateway older than the frame Rates works as before."""
    assert list(Decoder().feed(encode(Hello(1, b"sender-1")))) == [Hello(1, b"sender-1")]


def test_a_frame_too_large_is_not_written() -> None:
    """The sender learns that a record is too large before anything is sent."""
    with pytest.raises(FrameTooLarge):
        encode(Record(1, b"k" * 16, b"x" * MAX_FRAME_BYTES))


def test_a_frame_too_large_is_not_waited_for() -> None:
    """A length of four gigabytes is refused when the length is read."""
    with pytest.raises(FrameTooLarge):
        list(Decoder().feed(struct.pack(">I", 0xFFFFFFFF)))


def frame_of(message: object) -> bytes:
    body: bytes = msgpack.packb(message)
    return struct.pack(">I", len(body)) + body


def test_a_newer_version_is_understood() -> None:
    """An upgrade replaces one process first: kinds and fields that this version does not know are skipped."""
    newer = [
        [0, VERSION + 1, b"sender-1", {"new": True}],
        [1, b"k" * 16, b"{}", 5],
        [10, "a new kind"],
        [2, 1, b"k" * 16, b"{}", b"new"],
        [3, [], None],
        [4, 7, 1],
        [5, b"k" * 16, 1.0, [2.5], "new"],
        [6, [], "new"],
        [7, b"[]", "new"],
        [8, b"{}", 60, 10, "jane", "new"],
        [9, "id", "", "", [], "new"],
    ]

    assert list(Decoder().feed(b"".join(map(frame_of, newer)))) == [
        Hello(VERSION + 1, b"sender-1"),
        Config(b"k" * 16, b"{}"),
        Record(1, b"k" * 16, b"{}"),
        Totals([]),
        Ack(7),
        Rates(b"k" * 16, 1.0, [2.5]),
        Warnings([]),
        Policy(b"[]"),
        Debug(b"{}", 60, 10, "jane"),
        Refused("id", "", "", []),
    ]


@pytest.mark.parametrize("first", [[0, 0, b"sender-1"], [10, b"sender-1"]])
def test_another_greeting_is_refused(first: object) -> None:
    """Two versions do not talk past each other: no version 0, and no kind of greeting that is not known."""
    with pytest.raises(WireError, match=r"speaks version 0|not a Hello"):
        list(Decoder().feed(frame_of(first)))


def test_a_sender_says_who_it_is_first() -> None:
    """A record before the greeting is refused."""
    with pytest.raises(WireError):
        list(Decoder().feed(encode(Record(1, b"k" * 16, b"{}"))))


@pytest.mark.parametrize(
    "message",
    [
        None, 5, [], [-1], [64], ["9"],
        [2, 0, b"k" * 16, b"{}"], [2, 1, b"k", b"{}"], [2, 1, b"k" * 16, "text"], [3, [["name"]]],
        [5, b"k" * 16, 1.5, []], [5, b"k" * 16, 0.0, []], [5, b"k", 1.0, []], [5, b"k" * 16, 1.0, [-1.0]],
        [5, b"k" * 16, 1.0, [float("inf")]], [5, b"k" * 16, 1.0, [float("nan")]], [5, b"k" * 16, 1.0, ["1"]],
        [3, [["name", [1], 2]]], [1, b"k" * 16], msgpack.ExtType(1, b"x"), {1: 2}, [0, "1", b"12345678"],
    ],
)  # fmt: skip
def test_what_is_no_frame_is_refused(message: object) -> None:
    """A message of another form is a WireError."""
    with pytest.raises(WireError):
        list(Decoder().feed(encode(HELLO) + frame_of(message)))


def test_a_small_frame_cannot_grow() -> None:
    """A frame full of empty maps, 77 times larger in memory, is refused by its count of elements."""
    with pytest.raises(WireError):
        list(Decoder().feed(encode(HELLO) + frame_of([{}] * 100_000)))


@given(st.lists(st.binary(max_size=64), max_size=8))
def test_any_bytes_give_frames_or_a_wire_error(pieces: list[bytes]) -> None:
    """Whatever a peer sends, the result is frames or a WireError."""
    decoder = Decoder()
    try:
        for piece in pieces:
            list(decoder.feed(piece))
    except WireError:
        pass


def test_a_decoder_tells_what_it_waits_for() -> None:
    """A peer owes its greeting, then nothing, and the rest of a frame that it has begun."""
    decoder = Decoder()
    before = decoder.waits
    list(decoder.feed(encode(Hello(VERSION, b"12345678"))))
    between = decoder.waits
    list(decoder.feed(b"\0"))

    assert (before, between, decoder.waits) == (True, False, True)
