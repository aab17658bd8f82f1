"""ProtoBuf's wire format, and the three of its own messages that hold a value of any shape.

Bytes and values only; knows none of Kong's messages. Text may be any bytes: UTF-8, and a byte that is not
becomes a lone surrogate (PEP 383), as in rpc_msgpack.py; a generated class would refuse such a string.
Reading raises WireError and nothing else; a field nobody knows is passed over.

Source: https://protobuf.dev/programming-guides/encoding/; google/protobuf/struct.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from otlp_tracing.errors import WireError

__all__ = [
    "bytes_field", "encode_list", "encode_struct", "encode_value", "int_field", "read_double", "read_fields",
    "read_list", "read_multi_map", "read_struct", "read_value", "read_varint", "text_bytes", "to_int32",
    "to_int64", "to_text",
]  # fmt: skip

MAX_DEPTH = 64
"""Tables within tables; google.protobuf itself stops at 100 messages, which is half as many tables."""

_MAX_FIELDS = 10_000  # of one message, as in rpc_msgpack.py
_SHORT = tuple(bytes((number,)) for number in range(0x80))
# What stands before a text of so many bytes, as long as every length takes a single one; looking it up is
# twice as fast as making it: field 1; a Value that is field 2; a Value that is an item.
_HEADS = tuple(bytes((0x0A, size)) for size in range(0x80))
_VALUE_HEADS = tuple(bytes((0x12, size + 2, 0x1A, size)) for size in range(0x7A))
_ITEM_HEADS = tuple(bytes((0x0A, size + 2, 0x1A, size)) for size in range(0x7E))
_DOUBLE = struct.Struct("<d")
_ENTRY, _KEY, _VALUE, _ITEM = 0x0A, 0x0A, 0x12, 0x0A
_NUMBER, _STRING, _BOOL, _STRUCT, _LIST = 0x11, 0x1A, 0x20, 0x2A, 0x32


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
    """Give the bytes of a text; bytes are what they are.

    Raises:
        TypeError: it is neither.
        ValueError: a surrogate that stands for no byte.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return value
    raise TypeError(f"{type(value).__name__} is no text")


def to_text(payload: bytes) -> str:
    """Read a text, whatever its bytes."""
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
        tag = data[position]
        position += 1
        if tag >= 0x80:
            tag, position = read_varint(data, position - 1)
        kind = tag & 7
        if kind == 0:
            value, position = read_varint(data, position)
            found.append((tag, value))
            continue
        if kind == 2:
            length, position = read_varint(data, position)
        elif kind in {1, 5}:
            length = 8 if kind == 1 else 4
        else:
            raise WireError(f"wire type {kind}")
        found.append((tag, data[position : position + length]))
        position += length
    if position > end:
        raise WireError("a field longer than its message")
    return found


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
    """Write a Value: what MessagePack could carry to Kong's Lua.

    None is a Value of no kind, which is nil to Kong: its `null_value` arrives there as the text
    `NULL_VALUE`. False is written, but Kong reads nil (`v.bool_value or …` in pb_rpc.lua).

    Raises:
        TypeError, ValueError, OverflowError: for what ProtoBuf cannot hold.
    """
    if isinstance(value, (str, bytes)):
        text = text_bytes(value)
        return b"\x1a" + _varint(len(text)) + text
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
    """Write a Struct; a key whose value is None is left out, as nil is in a Lua table."""
    parts: list[bytes] = []
    for name, value in mapping.items():
        key = text_bytes(name)
        if type(value) is str:
            text = value.encode("utf-8", "surrogateescape")
            size = len(text)
            if size + len(key) < len(_VALUE_HEADS):
                parts += _HEADS[size + len(key) + 6], _HEADS[len(key)], key, _VALUE_HEADS[size], text
                continue
        if value is not None:
            parts.append(bytes_field(1, bytes_field(1, key) + bytes_field(2, encode_value(value, depth))))
    return b"".join(parts)


def encode_list(items: Sequence[Any], depth: int = 0) -> bytes:
    """Write a ListValue."""
    parts: list[bytes] = []
    for item in items:
        if type(item) is str:
            text = item.encode("utf-8", "surrogateescape")
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
            value = payload.decode("utf-8", "surrogateescape")
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
    for entry in _payloads(data, _ENTRY):
        # Most lines are one string, and short: 0a K key 12 V 1a S string. Twice as fast as field by field.
        if 6 <= (size := len(entry)) < 0x80 and entry[0] == _KEY and (rest := size - entry[1] - 6) >= 0:
            start = size - rest
            if entry.startswith(_VALUE_HEADS[rest], start - 4):
                found[to_text(entry[2 : start - 4])] = [entry[start:].decode("utf-8", "surrogateescape")]
                continue
        name, body = _entry(entry)
        lines = read_value(body)
        if not isinstance(lines, list):
            lines = [] if lines is True or lines is None else [lines]
        found[name] = lines
    return found
