"""ProtoBuf as Kong's Lua writes and reads it: frames, calls and returns, arguments and results. Sans I/O.

A value of any shape becomes its Lua value: false and nil are one, and a null is the text `NULL_VALUE`. A field that
was left out of an argument is its zero.

Source: kong/runloop/plugin_servers/rpc/pb_rpc.lua of Kong 3.9.1, pb_wrap and pb_unwrap; lua-protobuf 0.5.2, which Kong
uses with its default options; transcripts 60.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from otlp_tracing.errors import WireError
from otlp_tracing_devtools.fake_kong.lua_values import encode_text, lua_number, to_text
from otlp_tracing_devtools.fake_kong.plugin_rpc import PluginError
from otlp_tracing_devtools.fake_kong.protobuf_schema import CALLS, MESSAGES

_MAX_FRAME_BYTES = 64 << 20  # Kong has no bound and would wait for up to 4 GiB
_MAX_LINES = range(1, 1001)  # kong/pdk/request.lua: MIN_HEADERS, MAX_HEADERS


def encode_frame(message: bytes) -> bytes:
    """Write a frame: the length as a 32-bit little-endian number, and the bytes."""
    return len(message).to_bytes(4, "little") + message


class FrameDecoder:
    """Bytes in, frames out."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> None:
        """Take received bytes."""
        self._pending += data

    def next_message(self) -> bytes | None:
        """Give the next whole frame; None when more bytes are needed.

        Raises:
            WireError: a frame of more than 64 MiB is announced.
        """
        if len(self._pending) < 4:
            return None
        end = 4 + int.from_bytes(self._pending[:4], "little")
        if end > _MAX_FRAME_BYTES:
            raise WireError("a frame has more than 64 MiB")
        if len(self._pending) < end:
            return None
        frame = bytes(self._pending[4:end])
        del self._pending[:end]
        return frame


def encode_rpc_call(sequence: int, command: str, fields: Mapping[str, Any]) -> bytes:
    """Write a call, such as `cmd_handle_event`, with its fields; texts are bytes."""
    return MESSAGES["RpcCall"](sequence=sequence, **{command: dict(fields)}).SerializeToString()


def decode_return(frame: bytes) -> Any:
    """Read the end of a call.

    Raises:
        WireError: it is no RpcReturn.
    """
    return _parsed("RpcReturn", frame)


def _parsed(name: str, frame: bytes) -> Any:
    try:
        return MESSAGES[name].FromString(frame)
    except DecodeError as error:
        raise WireError(f"not a {name}: {error}") from None


def arguments_of(method: str, frame: bytes) -> list[Any]:
    """Read a call's arguments, as Kong hands them to its PDK.

    Raises:
        WireError: they are not the method's message.
        PluginError: they are refused; a maximum that was left out arrives as 0.
    """
    argument, result = CALLS[method]
    message = _parsed(argument, frame)
    values = _values(argument, message)
    if argument == "Int" and result == "Struct" and values[0] not in _MAX_LINES:
        raise PluginError(f"max must be >= {_MAX_LINES[0]} and <= {_MAX_LINES[-1]}")
    return values


def _values(argument: str, message: Any) -> list[Any]:
    if argument == "ListValue":
        return [_from_value(item) for item in message.values]
    if argument == "Struct":
        return [_from_struct(message)]
    return [_field_value(message, field) for field in message.DESCRIPTOR.fields]


def _field_value(message: Any, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    if isinstance(value, bytes):
        return to_text(value)
    if not isinstance(value, Message):
        return value
    return _from_value(value) if message.HasField(field.name) else None


def _from_value(message: Any) -> Any:
    """Read a value as pb_rpc.lua does: `list or struct or bool or string or number or null`."""
    kind = message.WhichOneof("kind")
    if kind == "list_value":
        return [_from_value(item) for item in message.list_value.values]
    if kind == "struct_value":
        return _from_struct(message.struct_value)
    if kind == "string_value":
        return to_text(message.string_value)
    if kind == "number_value":
        return lua_number(message.number_value)
    if kind == "null_value":
        return message.null_value or "NULL_VALUE"  # lua-protobuf names an enum's value where it knows the name
    return True if kind == "bool_value" and message.bool_value else None


def _from_struct(message: Any) -> dict[str, Any]:
    values = {to_text(entry.key): _from_value(entry.value) for entry in message.fields}
    return {name: value for name, value in values.items() if value is not None}


def encode_result(method: str, result: Any) -> bytes:
    """Write the result of a PDK call.

    Raises:
        PluginError: it does not fit the method's message, where Lua throws.
    """
    name = CALLS[method][1]
    if name == "Empty" or (result is None and name != "Value"):
        return b""
    try:
        message: Message = _result(name, result)
        return message.SerializeToString()
    except (TypeError, ValueError, AttributeError) as error:
        raise PluginError(f"bad argument #2 to 'encode' ({error})") from None


def _result(name: str, result: Any) -> Any:
    message: Any = MESSAGES[name]()
    if name == "Value":
        _fill_value(message, result)
    elif name == "Struct":
        # The PDK here gives headers in MessagePack's form; ProtoBuf carries Lua's own table.
        table = result if isinstance(result, Mapping) else {}
        _fill_struct(message, {key: lines[0] if len(lines) == 1 else lines for key, lines in table.items()})
    else:
        message.v = encode_text(result) if isinstance(result, str) else lua_number(result)
    return message


def _fill_value(message: Any, value: Any) -> None:
    if value is None:
        message.null_value = 1
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, (int, float)):
        message.number_value = value
    elif isinstance(value, str):
        message.string_value = encode_text(value)
    elif value and isinstance(value, (list, tuple)):
        message.list_value.SetInParent()
        for item in value:
            _fill_value(message.list_value.values.add(), item)
    else:  # an empty table is a struct, too: it has no [1]
        message.struct_value.SetInParent()
        _fill_struct(message.struct_value, value if isinstance(value, Mapping) else {})


def _fill_struct(message: Any, table: Mapping[str, Any]) -> None:
    for key, value in table.items():
        if value is not None:
            entry = message.fields.add(key=encode_text(str(key)))
            entry.value.SetInParent()
            _fill_value(entry.value, value)
