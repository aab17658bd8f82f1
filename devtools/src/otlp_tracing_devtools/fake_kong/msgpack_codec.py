"""MessagePack as Kong's Lua library writes and reads it. Sans I/O.

Strings of any bytes are written in the old raw format, without str8; a table without entries is an array; a double
without a fraction is an integer. Received messages may be any MessagePack.

Source: lua-MessagePack in its default `string_compat` mode; transcripts 01, 16, 35.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from otlp_tracing.errors import WireError
from otlp_tracing_devtools.fake_kong.lua_values import as_text, encode_text, lua_number

_MAX_MESSAGE_BYTES = 64 << 20  # a log record is 2 kB; a body read by a plugin may be large
_MAX_ITEMS = 1 << 16  # a table's size is believed before its items are there
_REQUEST = 0


@dataclass(frozen=True)
class EmptyMap:
    """An empty table that Kong packs as a map: headers or query without entries."""


def encode_call(message_id: int, method: str, argument: Any) -> bytes:
    """Write `[0, id, method, [argument]]`."""
    return _pack([_REQUEST, message_id, method, [argument]])


class MessageDecoder:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self._unpacker = msgpack.Unpacker(
            raw=False,
            unicode_errors="surrogateescape",
            strict_map_key=False,
            max_buffer_size=_MAX_MESSAGE_BYTES,
            max_array_len=_MAX_ITEMS,
            max_map_len=_MAX_ITEMS,
        )

    def feed(self, data: bytes) -> None:
        """Take received bytes.

        Raises:
            WireError: a message is larger than 64 MiB.
        """
        try:
            self._unpacker.feed(data)
        except msgpack.BufferFull:
            raise WireError("a message has more than 64 MiB") from None

    def next_message(self) -> Any | None:
        """Give the next whole message, its binary strings as text; None when more bytes are needed.

        Raises:
            WireError: the bytes are no MessagePack.
        """
        try:
            return as_text(self._unpacker.unpack())
        except msgpack.OutOfData:
            return None
        except (TypeError, ValueError, msgpack.UnpackException, RecursionError) as error:
            raise WireError(f"not MessagePack: {error}") from None


def _pack(value: Any) -> bytes:
    return b"".join(_pieces(value))


_packer = msgpack.Packer(use_bin_type=False)


def _pieces(value: Any) -> Iterator[bytes]:
    if isinstance(value, str):
        yield _packer.pack(encode_text(value))
    elif isinstance(value, EmptyMap):
        yield _packer.pack_map_header(0)
    elif isinstance(value, Mapping) and value:
        present = [(key, item) for key, item in value.items() if item is not None]
        yield _packer.pack_map_header(len(present))
        for key, item in present:
            yield from _pieces(key)
            yield from _pieces(item)
    elif isinstance(value, (Mapping, Sequence)):
        yield _packer.pack_array_header(len(value))
        for item in value:
            yield from _pieces(item)
    elif isinstance(value, float):
        yield _packer.pack(lua_number(value))
    else:
        yield _packer.pack(value)
