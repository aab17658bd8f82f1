"""The calls that the plugin makes over ProtoBuf: their arguments as bytes, their replies as MessagePack's values.

Kong takes 74 calls; these are the ones that the plugin makes. A reply of no bytes is None, since Kong sends the same
for nil and for an empty message.

Source: kong/include/kong/pluginsocket.proto of Kong 3.9.1 and 3.4.2, where these calls are the same; pb_rpc.lua,
load_service, pb_unwrap and pb_wrap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otlp_tracing.kong_server.protocol import protobuf_wire as wire

METHODS: Mapping[str, tuple[str, str]] = {
    "kong.log.serialize": ("Empty", "String"),
    "kong.log.set_serialize_value": ("KV", "Empty"),
    "kong.nginx.get_var": ("String", "String"),
    "kong.request.get_headers": ("Int", "Struct"),
    "kong.response.set_header": ("KV", "Empty"),
    "kong.service.request.set_headers": ("Struct", "Empty"),
}
"""Method to the messages of its arguments and its reply."""


def _check_count(arguments: Sequence[Any], count: int) -> None:
    if len(arguments) != count:
        raise TypeError(f"{len(arguments)} arguments instead of {count}")


def _text(number: int, value: Any) -> bytes:
    text = wire.text_bytes(value)
    return wire.bytes_field(number, text) if text else b""


def _nothing(arguments: Sequence[Any]) -> bytes:
    _check_count(arguments, 0)
    return b""


def _one_text(arguments: Sequence[Any]) -> bytes:
    _check_count(arguments, 1)
    return _text(1, arguments[0])


def _one_int(arguments: Sequence[Any]) -> bytes:
    _check_count(arguments, 1)
    value = arguments[0]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not an integer")
    if not -1 << 31 <= value < 1 << 31:
        raise OverflowError(f"{value} has more than 32 bits")
    return wire.int_field(1, value) if value else b""


def _struct(arguments: Sequence[Any]) -> bytes:
    _check_count(arguments, 1)
    table = arguments[0]
    # Lua does not distinguish an empty list from an empty map.
    if not isinstance(table, Mapping) and table != []:
        raise TypeError(f"{type(table).__name__} is not a map")
    return wire.encode_struct(table or {})


def _key_value(arguments: Sequence[Any]) -> bytes:
    _check_count(arguments, 2)
    key, value = arguments
    return _text(1, key) + (b"" if value is None else wire.bytes_field(2, wire.encode_value(value)))


ARGUMENTS: Mapping[str, Callable[[Sequence[Any]], bytes]] = {
    "Empty": _nothing,
    "Int": _one_int,
    "KV": _key_value,
    "String": _one_text,
    "Struct": _struct,
}
"""Message to its encoder; raises TypeError, ValueError or OverflowError for arguments that do not fit."""


def _read_string(data: bytes) -> str | None:
    # A text of 128 to 16,383 bytes, as a log record is, alone in its message: nothing else to look for.
    size = len(data) - 3
    if 0x80 <= size < 0x4000 and data[:3] == bytes((0x0A, size & 0x7F | 0x80, size >> 7)):
        return wire.to_text(data[3:])
    text = None
    for tag, value in wire.read_fields(data):
        if tag == 0x0A:
            text = value
    return None if text is None else wire.to_text(text)


REPLIES: Mapping[str, Callable[[bytes], Any]] = {
    "Empty": lambda _data: None,
    "String": _read_string,
    "Struct": wire.read_multi_map,
}
"""Message to its decoder; raises WireError, whatever the bytes."""
