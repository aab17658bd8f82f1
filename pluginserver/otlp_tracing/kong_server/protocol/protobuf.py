"""The ProtoBuf protocol, `ProtoBuf:1`, as bytes and values: no socket here.

Every message is a frame: its length as a 32-bit little-endian number, then its bytes. Kong sends a call. While an event
runs, the server writes pairs of frames, a method's name and its arguments. Kong answers each pair with one frame, which
can be empty. END_OF_EVENT and a return end the event. Values have the shape that MessagePack gives them, strings
included (msgpack.py), so a plugin sees no difference.

Microseconds with Python 3.11, in brackets msgpack.py in C: write set_headers with two lines 2.9 (1.2), write
set_serialize_value with six fields 4.6 (1.4), read ten headers 9.3 (2.8), read a log record of 2 kB 1.4 (1.7).
ProtoBuf saves CPU time in Kong, and the round trips of calls that are written ahead.

Source: kong/include/kong/pluginsocket.proto and kong/runloop/plugin_servers/rpc/pb_rpc.lua of Kong 3.9.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from otlp_tracing.errors import FrameTooLarge, WireError
from otlp_tracing.kong_server.protocol.protobuf_messages import ARGUMENTS, METHODS, REPLIES
from otlp_tracing.kong_server.protocol.protobuf_wire import (
    bytes_field,
    encode_value,
    int_field,
    read_fields,
    read_varint,
    text_bytes,
    to_int32,
    to_int64,
    to_text,
)

MAX_MESSAGE_BYTES = 16 << 20
"""As in msgpack.py: the largest thing is the answer to get_raw_body, which Kong holds in memory."""

END_OF_EVENT = b"\x00\x00\x00\x00"
"""An empty frame instead of a method's name."""

NO_REPLY = frozenset(method for method, (_, reply) in METHODS.items() if reply == "Empty")
"""Methods with an empty reply, so that the next call can be written before the reply arrives.

Kong sends it all the same: a frame of no bytes.
"""

_LENGTH_BYTES: Final = 4


class UnknownMethodError(ValueError):
    """There is no such call over ProtoBuf; sent to Kong it would cost the request a 500."""


@dataclass(frozen=True, slots=True)
class StartInstance:
    """Make an instance of a plugin; `config` is JSON."""

    sequence: int
    name: str
    config: bytes


@dataclass(frozen=True, slots=True)
class CloseInstance:
    """An instance is not needed any more."""

    sequence: int
    instance_id: int


@dataclass(slots=True, init=False)
class HandleEvent:
    """Run a phase of an instance."""

    sequence: int
    instance_id: int
    event_name: str

    # Written out: compiled, a dataclass's own would stay Python, and takes ten times as long.
    def __init__(self, sequence: int, instance_id: int, event_name: str) -> None:
        self.sequence = sequence
        self.instance_id = instance_id
        self.event_name = event_name


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A call of the protocol that Kong never makes: it gets the plugin's description from the query command."""

    sequence: int


Call = StartInstance | CloseInstance | HandleEvent | Unsupported
"""A call from Kong; the return must repeat its `sequence`."""


class FrameDecoder:
    """Bytes in, frames out, for one connection. After a WireError it must not be used again."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._wanted = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Add received bytes, in pieces of any size, and return the completed frames, without their lengths.

        Raises:
            FrameTooLarge: a frame announces more than MAX_MESSAGE_BYTES; never anything else.
        """
        if self._pending:
            self._pending += data
            if len(self._pending) < self._wanted:
                return []
            data = bytes(self._pending)
            self._pending.clear()
        frames: list[bytes] = []
        start, wanted = 0, 4
        while len(data) - start >= 4:
            length = data[start] | data[start + 1] << 8 | data[start + 2] << 16 | data[start + 3] << 24
            if length > MAX_MESSAGE_BYTES:
                raise FrameTooLarge(f"a frame of {length} bytes")
            wanted = length + 4
            if len(data) - start < wanted:
                break
            frames.append(data[start + 4 : start + wanted])
            start, wanted = start + wanted, 4
        if start < len(data):
            self._pending += data[start:]
            self._wanted = wanted
        return frames


# The bytes behind the sequence of a call to handle an event, and their meaning: two for each instance.
_known_events: Final[dict[bytes, tuple[int, str]]] = {}
_LONGEST_KNOWN_EVENT = 64  # bytes; an id of five and a phase's name take 25
_MAX_KNOWN_EVENTS = 4096  # instances that are gone leave theirs until it is full


def decode_call(frame: bytes) -> Call:
    """Read a call of Kong's.

    Raises:
        WireError: the frame is not a call; never another exception.
    """
    if len(frame) > 1 and frame[0] == 0x08:
        sequence, position = read_varint(frame, 1)
        known = _known_events.get(frame[position:])
        if known is not None:
            return HandleEvent(to_int64(sequence), known[0], known[1])
    sequence, command, body = 0, 0, b""
    fields = read_fields(frame)
    for tag, value in fields:
        if tag == 0x08:
            sequence = to_int64(value)
        elif tag & 7 == 2 and 31 <= tag >> 3 <= 36:
            command, body = tag >> 3, value
    if command == 36:
        instance_id, name = _id_and_name(body)
        if len(fields) == 2 and frame[0] == 0x08:
            _remember_event(frame[read_varint(frame, 1)[1] :], instance_id, name)
        return HandleEvent(sequence, instance_id, name)
    if command == 33:
        start = dict(read_fields(body))
        return StartInstance(sequence, to_text(start.get(0x0A, b"")), start.get(0x12, b""))
    if command == 35:
        return CloseInstance(sequence, _id_and_name(body)[0])
    if command == 0:
        raise WireError("a message that is no call")
    return Unsupported(sequence)


def _remember_event(rest: bytes, instance_id: int, name: str) -> None:
    if len(rest) > _LONGEST_KNOWN_EVENT:
        return
    if len(_known_events) >= _MAX_KNOWN_EVENTS:
        _known_events.clear()
    _known_events[rest] = instance_id, name


def _id_and_name(body: bytes) -> tuple[int, str]:
    fields = dict(read_fields(body))
    return to_int32(fields.get(0x08, 0)), to_text(fields.get(0x12, b""))


def encode_start_return(sequence: int, name: str, instance_id: int, config: bytes, started_at: int) -> bytes:
    """Answer StartInstance. Kong 3.4 gives a plugin up for good if this answer is not whole.

    Args:
        sequence: of the call.
        name: the plugin's.
        instance_id: 32 bits, signed; Kong names the instance by it.
        config: as JSON, or nothing: Kong keeps it and looks at it nowhere.
        started_at: Unix time, seconds.

    Raises:
        ValueError: the id does not fit.
    """
    if not -1 << 31 <= instance_id < 1 << 31:
        raise ValueError(f"an instance id of more than 32 bits: {instance_id}")
    status = bytes_field(1, text_bytes(name)) + _number(2, instance_id)
    if config:
        status += bytes_field(3, encode_value(config))
    return encode_frame(_number(1, sequence) + bytes_field(33, status + _number(4, started_at)))


def encode_return(sequence: int) -> bytes:
    """Answer any other call; after an event it follows END_OF_EVENT."""
    return encode_frame(_number(1, sequence))


def _number(number: int, value: int) -> bytes:
    return int_field(number, value) if value else b""


def encode_frame(message: bytes) -> bytes:
    """Put a message's length before it."""
    return len(message).to_bytes(_LENGTH_BYTES, "little") + message


_NAMED: Final = {
    method: (encode_frame(method.encode()), ARGUMENTS[argument], REPLIES[reply])
    for method, (argument, reply) in METHODS.items()
}


def encode_call(method: str, arguments: Sequence[Any]) -> bytes:
    """Write a call to Kong as its two frames.

    Args:
        method: such as `kong.service.request.set_headers`.
        arguments: as a plugin gives them; None at the end is the same as nothing.

    Raises:
        UnknownMethodError: ProtoBuf has no such call.
        TypeError, ValueError, OverflowError: for arguments that its message cannot hold.
    """
    if method not in _NAMED:
        raise UnknownMethodError(f"{method[:80]} cannot be called over ProtoBuf")
    name, encode, _ = _NAMED[method]
    message = encode(arguments)
    return name + len(message).to_bytes(_LENGTH_BYTES, "little") + message


def decode_reply(method: str, frame: bytes) -> Any:
    """Read Kong's reply to a call, in the shape that MessagePack gives it.

    Raises:
        UnknownMethodError: ProtoBuf has no such call.
        WireError: for bytes that break the protocol; never anything else.
    """
    if method not in _NAMED:
        raise UnknownMethodError(f"{method[:80]} cannot be called over ProtoBuf")
    return _NAMED[method][2](frame)
