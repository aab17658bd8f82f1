"""ProtoBuf's wire format, and the three of its own messages that hold a value of any shape.

Bytes and values only; knows none of Kong's messages. Text may be any bytes: UTF-8, and a byte that is not
becomes a lone surrogate (PEP 383), as in msgpack.py; a generated class would refuse such a string.
Reading raises WireError and nothing else; an unknown field is skipped.

Source: https://protobuf.dev/programming-guides/encoding/; google/protobuf/struct.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from otlp_tracing.errors import WireError

MAX_DEPTH: Final = 64
"""Tables within tables; google.protobuf itself stops at 100 messages, which is half as many tables."""

_MAX_FIELDS: Final = 10_000  # of one message, as in msgpack.py
_SHORT: Final = tuple(bytes((number,)) for number in range(0x80))
# Tags and lengths before a text, for lengths of one byte. A look-up is twice as fast as making them. They are of
# field 1, field 2, a Value's string, and a Value of a string that is an item.
_HEADS: Final = tuple(bytes((0x0A, size)) for size in range(0x80))
_BODY_HEADS: Final = tuple(bytes((0x12, size)) for size in range(0x80))
_STRING_HEADS: Final = tuple(bytes((0x1A, size)) for size in range(0x80))
_ITEM_HEADS: Final = tuple(bytes((0x0A, size + 2, 0x1A, size)) for size in range(0x7E))
_SHORTEST_LINE: Final = 8  # of a key and a string that are both empty
_DOUBLE: Final = struct.Struct("<d")
_ENTRY: Final = 0x0A
_KEY: Final = 0x0A
_VALUE: Final = 0x12
_ITEM: Final = 0x0A
_NUMBER: Final = 0x11
_STRING: Final = 0x1A
_BOOL: Final = 0x20
_STRUCT: Final = 0x2A
_LIST: Final = 0x32


def _varint(number: int) -> bytes:
    if number < 0x80:
        return _SHORT[number]
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def bytes_field(number: int, payload: bytes) -> bytes:
    """Write a field that is bytes, text or a message."""
    size = len(payload)
    if size < 0x80 and number < 0x10:
        return _SHORT[number << 3 | 2] + _SHORT[size] + payload
    return _varint(number << 3 | 2) + _varint(size) + payload


def int_field(number: int, value: int) -> bytes:
    """Write an integer or a bool; 64 bits of two's complement when it is negative."""
    return _varint(number << 3) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def text_bytes(value: Any) -> bytes:
    """Return the bytes of a text; bytes are returned unchanged.

    Raises:
        TypeError: it is neither.
        ValueError: a surrogate that encodes no byte.
    """
    if isinstance(value, str):
        return _encoded(value)
    if isinstance(value, bytes):
        return value
    raise TypeError(f"{type(value).__name__} is no text")


def _encoded(text: str) -> bytes:
    # Strict first: compiled, that is a third of the work, and text that is not UTF-8 is rare.
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def to_text(payload: bytes) -> str:
    """Read a text, whatever its bytes."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        return payload.decode("utf-8", "surrogateescape")


def to_int32(number: int) -> int:
    """Read a signed 32-bit field."""
    number &= 0xFFFF_FFFF
    return number - (1 << 32) if number >> 31 else number


def to_int64(number: int) -> int:
    """Read a signed 64-bit field."""
    return number - (1 << 64) if number >> 63 else number


def read_fields(data: bytes) -> list[tuple[int, Any]]:
    """Split a message into its fields.

    Returns:
        `(tag, value)`, in their order; the tag is `number << 3 | wire type`, the value an int for wire
        type 0 and bytes for 1, 2 and 5.
    """
    found: list[tuple[int, Any]] = []
    position, end = 0, len(data)
    while position < end:
        if len(found) >= _MAX_FIELDS:
            raise WireError("too many fields")
        tag, value, position = _field_at(data, position)
        found.append((tag, value))
    return found


def _field_at(data: bytes, position: int) -> tuple[int, Any, int]:
    tag = data[position]
    position += 1
    if tag >= 0x80:
        tag, position = read_varint(data, position - 1)
    kind = tag & 7
    if kind == 0:
        number, position = read_varint(data, position)
        return tag, number, position
    if kind == 2:
        length, position = read_varint(data, position)
    elif kind in {1, 5}:
        length = 8 if kind == 1 else 4
    else:
        raise WireError(f"wire type {kind}")
    end = position + length
    if end > len(data):
        raise WireError("a field longer than its message")
    return tag, data[position:end], end


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Read a number of 64 bits, and return it with the position after it."""
    try:
        byte = data[position]
        if byte < 0x80:
            return byte, position + 1
        number = byte & 0x7F
        for shift in range(7, 70, 7):
            position += 1
            byte = data[position]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number & 0xFFFF_FFFF_FFFF_FFFF, position + 1
    except IndexError:
        raise WireError("cut short") from None
    raise WireError("a number of more than ten bytes")


def encode_value(value: Any, depth: int = 0) -> bytes:
    """Write a Value: any value that MessagePack could carry to Kong's Lua.

    None is a Value of no kind, which is nil to Kong: its `null_value` arrives there as the text
    `NULL_VALUE`. False is written, but Kong reads nil (`v.bool_value or …` in pb_rpc.lua).

    Raises:
        TypeError, ValueError, OverflowError: for a value that ProtoBuf cannot hold.
    """
    if isinstance(value, (str, bytes)):
        text = text_bytes(value)
        size = len(text)
        return (_STRING_HEADS[size] if size < 0x80 else b"\x1a" + _varint(size)) + text
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"\x20\x01" if value else b"\x20\x00"
    if isinstance(value, (int, float)):
        return b"\x11" + _DOUBLE.pack(float(value))
    if depth >= MAX_DEPTH:
        raise ValueError(f"more than {MAX_DEPTH} tables within each other")
    if isinstance(value, (list, tuple)):
        return bytes_field(6, encode_list(value, depth + 1))
    if isinstance(value, Mapping):
        return bytes_field(5, encode_struct(value, depth + 1))
    raise TypeError(f"{type(value).__name__} cannot be sent to Kong")


def encode_struct(mapping: Mapping[Any, Any], depth: int = 0) -> bytes:
    """Write a Struct; a key with the value None is left out, as nil is in a Lua table."""
    parts: list[bytes] = []
    for name, value in mapping.items():
        if value is None:
            continue
        key, body = text_bytes(name), encode_value(value, depth)
        size = len(key) + len(body) + 4
        if size < 0x80:
            parts += _HEADS[size], _HEADS[len(key)], key, _BODY_HEADS[len(body)], body
        else:
            parts.append(bytes_field(1, bytes_field(1, key) + bytes_field(2, body)))
    return b"".join(parts)


def encode_list(items: Sequence[Any], depth: int = 0) -> bytes:
    """Write a ListValue."""
    parts: list[bytes] = []
    for item in items:
        if type(item) is str:
            text = _encoded(item)
            if len(text) < len(_ITEM_HEADS):
                parts += _ITEM_HEADS[len(text)], text
                continue
        parts.append(bytes_field(1, encode_value(item, depth)))
    return b"".join(parts)


def read_value(data: bytes, depth: int = 0) -> Any:
    """Read a Value. A whole number is an int, as in MessagePack: Lua knows one kind of number only."""
    value: Any = None
    if depth > MAX_DEPTH:
        raise WireError("tables nested too deep")
    for tag, payload in read_fields(data):
        if tag == _STRING:
            value = to_text(payload)
        elif tag == _LIST:
            value = read_list(payload, depth + 1)
        elif tag == _STRUCT:
            value = read_struct(payload, depth + 1)
        elif tag == _NUMBER:
            value = read_double(payload)
        elif tag == _BOOL:
            value = bool(payload)
        elif tag == 0x08:
            value = None
    return value


def read_double(payload: bytes) -> int | float:
    """Read a double; a whole number is an int."""
    number: float = _DOUBLE.unpack(payload)[0]
    return int(number) if number.is_integer() else number


def read_struct(data: bytes, depth: int = 0) -> dict[str, Any]:
    """Read a Struct."""
    return {key: read_value(value, depth) for key, value in map(_entry, _payloads(data, _ENTRY))}


def read_list(data: bytes, depth: int = 0) -> list[Any]:
    """Read a ListValue."""
    return [read_value(item, depth) for item in _payloads(data, _ITEM)]


def _payloads(data: bytes, wanted: int) -> list[bytes]:
    return [payload for tag, payload in read_fields(data) if tag == wanted]


def _entry(data: bytes) -> tuple[str, bytes]:
    key = value = b""
    for tag, payload in read_fields(data):
        if tag == _KEY:
            key = payload
        elif tag == _VALUE:
            value = payload
    return to_text(key), value


def read_multi_map(data: bytes) -> dict[str, list[Any]]:
    """Read a Struct of headers or query arguments: every value is a list, and a name alone an empty one.

    Source: kong/runloop/plugin_servers/rpc/mp_rpc.lua, fix_mmap.
    """
    found: dict[str, list[Any]] = {}
    position, end, fields = 0, len(data), 0
    while position < end:
        fields += 1
        if fields > _MAX_FIELDS:
            raise WireError("too many fields")
        # Most lines are one string, and short: 0a E 0a K key 12 V 1a S string. Three times as fast as field by field.
        if end - position >= _SHORTEST_LINE and data[position] == _ENTRY and data[position + 2] == _KEY:
            line_end = position + 2 + data[position + 1]
            key_end = position + 4 + data[position + 3]
            rest = line_end - key_end - 4
            if (
                line_end <= end
                and line_end - position < 0x82
                and rest >= 0
                and data[key_end] == _VALUE
                and data[key_end + 1] == rest + 2
                and data[key_end + 2] == _STRING
                and data[key_end + 3] == rest
            ):
                found[to_text(data[position + 4 : key_end])] = [to_text(data[key_end + 4 : line_end])]
                position = line_end
                continue
        tag, entry, position = _field_at(data, position)
        if tag == _ENTRY:
            name, body = _entry(entry)
            found[name] = _lines(read_value(body))
    return found


def _lines(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is True or value is None else [value]
