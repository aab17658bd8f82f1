"""Promises of kong_server/protocol/protobuf_wire.py, with google.protobuf for a second opinion."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.errors import WireError
from otlp_tracing.kong_server.protocol import protobuf_wire as wire
from otlp_tracing_devtools.fake_kong.protobuf_schema import MESSAGES

TEXTS = st.binary(max_size=300).map(wire.to_text)
NAMES = st.binary(min_size=1, max_size=300).map(wire.to_text)
NUMBERS = st.integers(-(1 << 53), 1 << 53) | st.floats(allow_nan=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda values: st.lists(values, max_size=5) | st.dictionaries(NAMES, values, max_size=5),
    max_leaves=20,
)


def plain(message: Any) -> Any:
    """google.protobuf's reading, as Python's own values."""
    kind = message.WhichOneof("kind")
    if kind == "struct_value":
        return struct(message.struct_value)
    if kind == "list_value":
        return [plain(item) for item in message.list_value.values]
    if kind == "string_value":
        return wire.to_text(message.string_value)
    return getattr(message, kind) if kind else None


def struct(message: Any) -> dict[str, Any]:
    return {wire.to_text(entry.key): plain(entry.value) for entry in message.fields}


def without_nil(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nil(item) for key, item in value.items() if item is not None}
    return [without_nil(item) for item in value] if isinstance(value, list) else value


def nested(depth: int) -> Any:
    value: Any = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


@given(VALUES)
def test_google_reads_what_is_written(value: Any) -> None:
    """A value is written as google.protobuf writes it, byte for byte, and it reads the same from it."""
    written = wire.encode_value(value)
    message = MESSAGES["Value"].FromString(written)

    assert plain(message) == without_nil(value)
    assert message.SerializeToString() == written


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_what_is_written_is_read(table: dict[str, Any]) -> None:
    """A Struct comes back unchanged, without nil values."""
    written = wire.encode_struct(table)

    assert MESSAGES["Struct"].FromString(written).SerializeToString() == written
    assert wire.read_struct(written) == without_nil(table)


@given(st.lists(VALUES, max_size=8))
def test_a_list_keeps_its_places(items: list[Any]) -> None:
    """None holds its place in a list, since later items have numbers."""
    assert wire.read_list(wire.encode_list(items)) == without_nil(items)


@given(st.dictionaries(NAMES, TEXTS | st.lists(TEXTS, max_size=3) | st.just(True)))
def test_headers_are_lists(table: dict[str, Any]) -> None:
    """A single line is a list of one; a query argument without a value is an empty list, as over MessagePack."""
    expected = {
        name: [] if lines is True else lines if isinstance(lines, list) else [lines] for name, lines in table.items()
    }

    assert wire.read_multi_map(wire.encode_struct(table)) == expected


@pytest.mark.parametrize("size", [1, 115, 121, 122, 125, 126, 127, 128, 16_383, 16_384, 70_000])
def test_lengths_of_any_number_of_bytes(size: int) -> None:
    """Around every size at which a length takes another byte, texts of that size are written and read."""
    text = "x" * size
    table = {text: text, "k": text, text + "l": [text, text]}
    written = wire.encode_struct(table)

    assert MESSAGES["Struct"].FromString(written).SerializeToString() == written
    assert wire.read_struct(written) == table
    assert wire.read_multi_map(written) == {text: [text], "k": [text], text + "l": [text, text]}


@pytest.mark.parametrize(
    ("number", "expected"), [(3.0, 3), (-0.0, 0), (3.5, 3.5), (1e300, int(1e300)), (math.inf,) * 2]
)
def test_whole_numbers_are_ints(number: float, expected: float) -> None:
    """Lua has one kind of number; a whole number is an int, as over MessagePack."""
    read = wire.read_value(wire.encode_value(number))

    assert read == expected
    assert type(read) is type(expected)


def test_null_is_none() -> None:
    """Kong says nil by a null_value of 1, and reads ours from a Value of no kind."""
    assert wire.read_value(b"\x08\x01") is None
    assert wire.encode_value(None) == b""


@pytest.mark.parametrize("number", [0, 1, 127, 128, -1, (1 << 31) - 1, -(1 << 31)])
def test_integers_have_signs(number: int) -> None:
    """Negative numbers are 64 bits of two's complement, whatever the field's size."""
    written = wire.int_field(1, number)
    ((tag, value),) = wire.read_fields(written)

    assert tag == 0x08
    assert wire.to_int32(value) == wire.to_int64(value) == number
    assert MESSAGES["Int"].FromString(written) == MESSAGES["Int"](v=number)


def test_unknown_fields_are_passed_over() -> None:
    """A later Kong may send more; fields of every kind are skipped."""
    extra = wire.int_field(9, 1 << 40) + b"\x51" + bytes(8) + b"\x5d" + bytes(4) + wire.bytes_field(3000, b"x")

    assert wire.read_struct(extra + wire.encode_struct({"a": 1}) + extra) == {"a": 1}


@pytest.mark.parametrize(
    "value",
    [object(), {1: "x"}, {None: "x"}, [set()], {"a": {"b": object()}}, nested(65), "\ud800", {"\ud800": 1}],
)
def test_what_does_not_fit_is_refused(value: Any) -> None:
    """Anything that is no table, text, number or flag, and tables too deep within each other, is an error here."""
    with pytest.raises((TypeError, ValueError)):
        wire.encode_value(value)


def test_a_number_past_the_doubles_is_refused() -> None:
    """Lua has no number of four hundred digits."""
    with pytest.raises(OverflowError):
        wire.encode_value(10**400)


def test_depth_has_a_bound() -> None:
    """Sixty-four nested tables are written and read; one more is refused, as is a list of itself."""
    written = wire.encode_value(nested(64))
    endless: list[Any] = []
    endless.append(endless)

    assert wire.read_value(written) == nested(64)
    with pytest.raises(WireError):
        wire.read_value(wire.bytes_field(6, wire.bytes_field(1, written)))
    with pytest.raises(ValueError, match="64"):
        wire.encode_value(endless)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a", b"\x0a\x05abc", b"\x80", b"\x0b", b"\x0c", b"\x0f", b"\x09" + bytes(7), b"\x0d\x00", b"\x08",
        b"\x08" + b"\xff" * 10 + b"\x00", b"\x0a\xff\xff\xff\xff\x0f", b"\x08\x00" * 10_001,
    ],
)  # fmt: skip
def test_broken_fields_are_refused(data: bytes) -> None:
    """Cut short, too long, too many, or of a kind that does not exist: one kind of error."""
    with pytest.raises(WireError):
        wire.read_fields(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_wire_error(data: bytes) -> None:
    """Whatever Kong sends, reading it gives a value or a WireError."""
    for read in (wire.read_value, wire.read_struct, wire.read_list, wire.read_multi_map, wire.read_fields):
        with contextlib.suppress(WireError):
            read(data)


@given(VALUES, st.data())
def test_a_broken_value_gives_a_value_or_a_wire_error(value: Any, data: st.DataObject) -> None:
    """One byte of a message changed: still a value or a WireError."""
    written = bytearray(wire.encode_struct({"k": value, "l": "x"}))
    written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))

    for read in (wire.read_struct, wire.read_multi_map):
        with contextlib.suppress(WireError):
            read(bytes(written))
