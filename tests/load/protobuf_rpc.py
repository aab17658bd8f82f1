"""The client's side of `ProtoBuf:1`, as Kong 3.9.1 speaks it: one connection carries a whole event.

Kong writes a frame in two pieces, its length and its bytes. If Kong cannot repeat an event, its client gets a 500:
after a read timeout, a connection that is reset, a write that fails.

Source: kong/runloop/plugin_servers/rpc/pb_rpc.lua of Kong 3.9.1; kong/include/kong/pluginsocket.proto.
"""

from __future__ import annotations

import struct
from typing import Any

from google.protobuf import struct_pb2

from load.loop import Connection, Pool, ReadTimeoutError, ResetError, Task, UnreachableError
from load.outcome import Answered500Error, NoInstanceError, Reset500Error, Tally, UnpluggedError
from load.traffic import HEADER_SETS, log_record

_LENGTH = struct.Struct("<I")
_START_INSTANCE, _HANDLE_EVENT = 33, 36


def _varint(number: int) -> bytes:
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def _piece(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _header_struct(headers: dict[str, list[str]]) -> bytes:
    # Kong gives a header of one line as a string.
    table = struct_pb2.Struct()
    table.update({name: lines[0] if len(lines) == 1 else lines for name, lines in headers.items()})
    return table.SerializeToString()


_HEADER_SETS = [_header_struct(headers) for headers in HEADER_SETS]


class ProtoBufRpc:
    """Events of one plugin; the arguments are those of MsgPackRpc."""

    def __init__(self, pool: Pool, plugin: str, config: str, tally: Tally) -> None:
        self._pool = pool
        self._start = _piece(_START_INSTANCE, _piece(1, plugin.encode()) + _piece(2, config.encode()))
        self._tally = tally
        self._number = 0

    def start_instance(self) -> Task:
        """Start an instance; return its id."""
        connection = self._connect()
        try:
            returned = yield from self._ask(connection, self._start)
        except BaseException:
            self._pool.discard(connection)
            raise
        self._pool.give_back(connection)
        return _fields(_fields(returned)[_START_INSTANCE])[2]

    def handle_event(self, instance: int, phase: str, request: int, field: Any) -> Task:
        """Run an event to its end; see MsgPackRpc.handle_event."""
        connection = self._connect()
        call = _piece(_HANDLE_EVENT, b"\x08" + _varint(instance) + _piece(2, phase.encode()))
        event = _Event(request, field)
        try:
            yield from self._ask(connection, call, event)
        except BaseException:
            self._pool.discard(connection)
            raise
        self._pool.give_back(connection)
        if not event.done:
            raise UnpluggedError("the event ended without its last call")
        return event.field

    def _connect(self) -> Connection:
        try:
            return self._pool.take()
        except UnreachableError as error:
            self._tally.refused += 1
            raise Answered500Error(f"cannot connect: {error}") from None

    def _ask(self, connection: Connection, command: bytes, event: _Event | None = None) -> Task:
        self._number = number = self._number + 1
        _write(connection, b"\x08" + _varint(number) + command)
        while event is not None:
            method = yield from _read(connection)
            if not method:
                break
            arguments = yield from _read(connection)
            _write(connection, event.answer(method, arguments))
        returned: bytes = yield from _read(connection)
        if _fields(returned)[1] != number:
            raise Answered500Error("unexpected sequence")
        return returned


class _Event:
    """Kong's knowledge about the request while one of its events runs."""

    def __init__(self, request: int, field: Any) -> None:
        self.done = False
        self.field = field
        self._request = request

    def answer(self, method: bytes, arguments: bytes) -> bytes:
        """Run one call of the PDK; the answer to most is nothing."""
        if method == b"kong.request.get_headers":
            return _HEADER_SETS[self._request % len(_HEADER_SETS)]
        if method == b"kong.log.serialize":
            self.done = True
            return _piece(1, log_record(self.field).encode())
        if method == b"kong.log.set_serialize_value":
            self.done = True
            self.field = _plain(struct_pb2.Value.FromString(_fields(arguments)[2]))
        return b""


def _read(connection: Connection) -> Task:
    buffer = connection.buffer
    while True:
        if len(buffer) >= _LENGTH.size:
            end = _LENGTH.unpack_from(buffer)[0] + _LENGTH.size
            if len(buffer) >= end:
                frame = bytes(buffer[_LENGTH.size : end])
                del buffer[:end]
                return frame
        try:
            data = yield connection
        except ReadTimeoutError:
            raise Answered500Error("timeout") from None
        except ResetError:
            raise Reset500Error("connection reset by peer") from None
        if not data:
            raise NoInstanceError("closed")
        buffer += data


def _write(connection: Connection, message: bytes) -> None:
    try:
        connection.socket.send(_LENGTH.pack(len(message)))
        if message:
            connection.socket.send(message)
    except OSError:
        raise Reset500Error("broken pipe") from None


def _fields(message: bytes) -> dict[int, Any]:
    """Split a message into its fields, as far as it has numbers and bytes."""
    found: dict[int, Any] = {}
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        value, position = _read_varint(message, position)
        found[tag >> 3] = value
        if tag & 7 == 2:
            found[tag >> 3] = message[position : position + value]
            position += value
    return found


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position


def _plain(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {name: _plain(inner) for name, inner in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_plain(inner) for inner in value.list_value.values]
    return getattr(value, kind) if kind else None
