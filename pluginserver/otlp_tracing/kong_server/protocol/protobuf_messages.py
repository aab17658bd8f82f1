"""Kong's messages: a call's arguments as bytes, and a reply's bytes as the value MessagePack would give.

Knows the fields of each message, not which call has which. A reply of no bytes is None, since Kong sends
the same for nil and for a message of zeros; where Kong never gives nil it is the zero itself. A field of
zero is not sent either: an entity's numbers and flags are there all the same, its texts and lists are not.

Source: kong/include/kong/pluginsocket.proto of Kong 3.9.1; pb_rpc.lua, pb_unwrap and pb_wrap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otlp_tracing.kong_server.protocol import protobuf_wire as wire

__all__ = ["ARGUMENTS", "REPLIES"]

# What Kong's PDK takes when the maximum is left out (3.9: lua_max_req_headers and its like, 100 unless
# configured). Left out on the wire it would arrive as 0, which the PDK refuses.
_MAX_LINES = 100


def _take(arguments: Sequence[Any], count: int) -> Sequence[Any]:
    if len(arguments) == count:
        return arguments
    given = list(arguments)
    while given and given[-1] is None:
        given.pop()
    if len(given) > count:
        raise TypeError(f"{len(given)} arguments, ProtoBuf has room for {count}")
    return given + [None] * (count - len(given))


def _text(number: int, value: Any) -> bytes:
    text = wire.text_bytes(value)
    return wire.bytes_field(number, text) if text else b""


def _int(number: int, value: Any, bits: int = 32) -> bytes:
    # Lua's numbers may have come as floats; 3.0 is an integer, 3.5 is none.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or int(value) != value:
        raise TypeError(f"{value!r} is no integer")
    if not -1 << bits - 1 <= value < 1 << bits - 1:
        raise OverflowError(f"{value} has more than {bits} bits")
    return wire.int_field(number, int(value)) if value else b""


def _nothing(arguments: Sequence[Any]) -> bytes:
    _take(arguments, 0)
    return b""


def _one_text(arguments: Sequence[Any]) -> bytes:
    return _text(1, _take(arguments, 1)[0])


def _one_int(arguments: Sequence[Any]) -> bytes:
    return _int(1, _take(arguments, 1)[0])


def _maximum(arguments: Sequence[Any]) -> bytes:
    (maximum,) = _take(arguments, 1)
    return _int(1, _MAX_LINES if maximum is None else maximum)


def _one_bool(arguments: Sequence[Any]) -> bytes:
    return b"\x08\x01" if _take(arguments, 1)[0] else b""


def _struct(arguments: Sequence[Any]) -> bytes:
    return wire.encode_struct(_table(_take(arguments, 1)[0]))


def _table(value: Any) -> Mapping[str, Any]:
    # Lua knows no difference between an empty list and an empty map.
    if not isinstance(value, Mapping) and value != []:
        raise TypeError(f"{type(value).__name__} is no map")
    return value or {}


def _key_value(arguments: Sequence[Any]) -> bytes:
    key, value = _take(arguments, 2)
    return _text(1, key) + (b"" if value is None else wire.bytes_field(2, wire.encode_value(value)))


def _exit(arguments: Sequence[Any]) -> bytes:
    status, body, headers = _take(arguments, 3)
    written = _int(1, status) + (b"" if body is None else _text(2, body))
    return written + (b"" if headers is None else wire.bytes_field(3, _struct([headers])))


def _target(arguments: Sequence[Any]) -> bytes:
    host, port = _take(arguments, 2)
    return _text(1, host) + _int(2, port)


def _consumer_spec(arguments: Sequence[Any]) -> bytes:
    identifier, by_username = _take(arguments, 2)
    return _text(1, identifier) + (b"\x10\x01" if by_username else b"")


def _authenticate(arguments: Sequence[Any]) -> bytes:
    consumer, credential = _take(arguments, 2)
    written = b"" if consumer is None else wire.bytes_field(1, _consumer(_table(consumer)))
    return written + (b"" if credential is None else wire.bytes_field(2, _credential(_table(credential))))


def _consumer(consumer: Mapping[str, Any]) -> bytes:
    """Write the fields that the message has; Kong's own consumer has more."""
    created_at = _int(2, consumer.get("created_at") or 0, 64)
    names = _text(3, consumer.get("username") or "") + _text(4, consumer.get("custom_id") or "")
    tags = [wire.bytes_field(5, wire.text_bytes(tag)) for tag in consumer.get("tags") or ()]
    return _text(1, consumer.get("id") or "") + created_at + names + b"".join(tags)


def _credential(credential: Mapping[str, Any]) -> bytes:
    return _text(1, credential.get("id") or "") + _text(2, credential.get("consumer_id") or "")


ARGUMENTS: Mapping[str, Callable[[Sequence[Any]], bytes]] = {
    "AuthenticateArgs": _authenticate,
    "Bool": _one_bool,
    "ByteString": _one_text,
    "ConsumerSpec": _consumer_spec,
    "Empty": _nothing,
    "ExitArgs": _exit,
    "Int": _one_int,
    "KV": _key_value,
    "ListValue": wire.encode_list,
    "Maximum": _maximum,
    "String": _one_text,
    "Struct": _struct,
    "Target": _target,
}
"""Message to what writes it; raises TypeError, ValueError or OverflowError for arguments that do not fit."""


def _first(data: bytes, wanted: int) -> Any:
    found = None
    for tag, value in wire.read_fields(data):
        if tag == wanted:
            found = value
    return found


def _read_string(data: bytes) -> str | None:
    # A text of 128 to 16,383 bytes, as a log record is, alone in its message: nothing else to look for.
    size = len(data) - 3
    if 0x80 <= size < 0x4000 and data[:3] == bytes((0x0A, size & 0x7F | 0x80, size >> 7)):
        return wire.to_text(data[3:])
    text = _first(data, 0x0A)
    return None if text is None else wire.to_text(text)


def _read_int(data: bytes) -> int | None:
    number = _first(data, 0x08)
    return None if number is None else wire.to_int32(number)


def _read_number(data: bytes) -> int | float | None:
    number = _first(data, 0x09)
    return None if number is None else wire.read_double(number)


def _read_body(data: bytes) -> bytes | None:
    """Read RawBodyResult: None for a body that Kong holds in a file, or could not read."""
    body: bytes | None = b""
    for tag, value in wire.read_fields(data):
        if tag in {0x0A, 0x12, 0x1A}:
            body = value if tag == 0x0A else None
    return body


def _read_captures(data: bytes) -> dict[str, Any]:
    fields = wire.read_fields(data)
    named = [dict(wire.read_fields(value)) for tag, value in fields if tag == 0x12]
    return {
        "unnamed": [wire.to_text(value) for tag, value in fields if tag == 0x0A],
        "named": {wire.to_text(entry.get(0x0A, b"")): wire.to_text(entry.get(0x12, b"")) for entry in named},
    }


_Field = tuple[str, Callable[[Any], Any], bool]


def _fields(convert: Callable[[Any], Any], kind: int, names: Mapping[int, str]) -> dict[int, _Field]:
    return {number << 3 | kind: (name, convert, False) for number, name in names.items()}


def _repeated(convert: Callable[[Any], Any], names: Mapping[int, str]) -> dict[int, _Field]:
    return {number << 3 | 2: (name, convert, True) for number, name in names.items()}


def _reader(*tables: Mapping[int, _Field]) -> Callable[[bytes], dict[str, Any]]:
    fields = {tag: field for table in tables for tag, field in table.items()}
    zeros = {name: convert(0) for tag, (name, convert, _) in fields.items() if not tag & 7}

    def read(data: bytes) -> dict[str, Any]:
        entity: dict[str, Any] = dict(zeros)
        for tag, value in wire.read_fields(data):
            if tag not in fields:
                continue
            name, convert, repeated = fields[tag]
            if repeated:
                entity.setdefault(name, []).append(convert(value))
            else:
                entity[name] = convert(value)
        return entity

    return read


_ids = _reader(_fields(wire.to_text, 2, {1: "id"}))
_consumer_reader = _reader(
    _fields(wire.to_text, 2, {1: "id", 3: "username", 4: "custom_id"}),
    _fields(wire.to_int64, 0, {2: "created_at"}),
    _repeated(wire.to_text, {5: "tags"}),
)
_route = _reader(
    _fields(wire.to_text, 2, {1: "id", 4: "name"}),
    _fields(wire.to_int64, 0, {2: "created_at", 3: "updated_at"}),
    _fields(wire.to_int32, 0, {10: "https_redirect_status_code", 11: "regex_priority"}),
    _fields(bool, 0, {12: "strip_path", 13: "preserve_host"}),
    _repeated(wire.to_text, {5: "protocols", 6: "methods", 7: "hosts", 8: "paths", 9: "headers", 14: "snis"}),
    _repeated(wire.to_text, {15: "sources", 16: "destinations", 17: "tags"}),
    _fields(_ids, 2, {18: "service"}),
)
_service = _reader(
    _fields(wire.to_text, 2, {1: "id", 4: "name", 6: "protocol", 7: "host", 9: "path"}),
    _fields(wire.to_int64, 0, {2: "created_at", 3: "updated_at"}),
    _fields(wire.to_int32, 0, {5: "retries", 8: "port"}),
    _fields(wire.to_int32, 0, {10: "connect_timeout", 11: "write_timeout", 12: "read_timeout"}),
    _repeated(wire.to_text, {13: "tags"}),
    _fields(_ids, 2, {14: "client_certificate"}),
)
_dict_stats = _reader(_fields(wire.to_int64, 0, {1: "allocated_slabs", 2: "capacity"}))
_memory_stats = _reader(
    _fields(_reader(_fields(_dict_stats, 2, {1: "kong", 2: "kong_db_cache"})), 2, {1: "lua_shared_dicts"}),
    _repeated(_reader(_fields(wire.to_int64, 0, {1: "http_allocated_gc", 2: "pid"})), {2: "workers_lua_vms"}),
)


def _optional(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    return lambda data: read(data) if data else None


REPLIES: Mapping[str, Callable[[bytes], Any]] = {
    "AuthenticatedCredential": _optional(_reader(_fields(wire.to_text, 2, {1: "id", 2: "consumer_id"}))),
    "Bool": lambda data: bool(_first(data, 0x08)),
    "ByteString": lambda data: _first(data, 0x0A) or b"",
    "Consumer": _optional(_consumer_reader),
    "Empty": lambda _data: None,
    "Int": _read_int,
    "MemoryStats": _optional(_memory_stats),
    "Number": _read_number,
    "RawBodyResult": _read_body,
    "Route": _optional(_route),
    "Service": _optional(_service),
    "String": _read_string,
    "Struct": wire.read_multi_map,
    "Text": lambda data: _read_string(data) or "",
    "UriCapturesResult": _read_captures,
    "Value": wire.read_value,
}
"""Message to what reads it; raises WireError, whatever the bytes."""
