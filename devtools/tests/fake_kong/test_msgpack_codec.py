"""MessagePack and JSON as Kong writes them: exact bytes."""

from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.errors import WireError
from otlp_tracing_devtools.fake_kong.lua_values import EMPTY_ARRAY, encode_json, encode_text, lua_tostring, to_text
from otlp_tracing_devtools.fake_kong.msgpack_codec import Binary, EmptyMap, MessageDecoder, encode_call


@pytest.mark.parametrize(
    ("value", "packed"),
    [
        ("a\udcff", b"\xa2a\xff"),
        ("x" * 31, b"\xbf" + b"x" * 31),
        ("x" * 32, b"\xda\x00\x20" + b"x" * 32),
        (Binary(b"\xff"), b"\xc4\x01\xff"),
        (5.0, b"\x05"),
        (1.1, b"\xcb?\xf1\x99\x99\x99\x99\x99\x9a"),
        (200, b"\xcc\xc8"),
        (-1, b"\xff"),
        ({}, b"\x90"),
        (EmptyMap(), b"\x80"),
        ({"a": None, "b": True}, b"\x81\xa1b\xc3"),
        ([1, {"n": []}], b"\x92\x01\x81\xa1n\x90"),
    ],
)
def test_values_have_the_bytes_lua_gives_them(value: Any, packed: bytes) -> None:
    """No str8, no unset fields, an empty table is an array, a whole number is an integer."""
    assert encode_call(14, "m", value) == b"\x94\x00\x0e\xa1m\x91" + packed


def test_messages_come_whole_however_the_bytes_are_cut() -> None:
    """Fed byte by byte, a message appears with its last byte; binary strings are text."""
    decoder = MessageDecoder()
    raw = msgpack.packb([1, 2, None, {"Data": b"\xff"}])
    seen = []
    for position in range(len(raw)):
        decoder.feed(raw[position : position + 1])
        seen.append(decoder.next_message())

    assert seen == [None] * (len(raw) - 1) + [[1, 2, None, {"Data": "\udcff"}]]


@given(st.binary(max_size=200))
def test_any_bytes_give_messages_or_a_wire_error(data: bytes) -> None:
    """Nothing else escapes, whatever a plugin server sends."""
    decoder = MessageDecoder()
    with contextlib.suppress(WireError):
        decoder.feed(data)
        for _ in range(len(data) + 1):
            decoder.next_message()


@pytest.mark.parametrize("garbage", [b"\xc1", b"\x91" * 5000, b"\x81\x80\x01", b"\xdd\xff\xff\xff\xff"])
def test_what_is_no_messagepack_is_an_error_of_ours(garbage: bytes) -> None:
    """A reserved byte, a nesting without end, a map for a key, a size beyond reason: each is a WireError."""
    decoder = MessageDecoder()
    decoder.feed(garbage)

    with pytest.raises(WireError):
        decoder.next_message()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": "x/y\xff", "b": None}, '{"a":"x/yÿ"}'.encode()),
        (to_text(b"\xff"), b'"\xff"'),
        ('q"\\\n\x7f', b'"q\\"\\\\\\n\\u007f"'),
        (1795327875931298048.0, b"1.795327875931298e+18"),
        (7.000000000000001, b"7.000000000000001"),
        (0.029 * 1000, b"29"),
        ([], b"{}"),
        (EMPTY_ARRAY, b"[]"),
        ([True, {"k": [1]}], b'[true,{"k":[1]}]'),
    ],
)
def test_json_has_the_bytes_cjson_gives_it(value: Any, text: bytes) -> None:
    """16 digits, raw bytes, no escaped slash, no nil fields, an empty table is `{}`."""
    assert encode_json(value) == text


def test_text_keeps_any_bytes() -> None:
    """Decoding and encoding gives every byte back."""
    every = bytes(range(256))

    assert encode_text(to_text(every)) == every
    assert [lua_tostring(value) for value in (True, 5, 5.0, 0.1, "s")] == ["true", "5", "5", "0.1", "s"]
