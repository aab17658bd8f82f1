"""The MessagePack protocol, `MsgPack:1`, as bytes and values: no socket here.

Kong asks `[0, id, method, [arguments]]`, the server answers `[1, id, error, result]`. Kong's strings are bytes of any
kind. They become text by UTF-8. A byte that is not UTF-8 becomes a lone surrogate, as Python does for file names (PEP
383), so that Kong gets the same byte back.

Source: kong/runloop/plugin_servers/rpc/mp_rpc.lua of Kong 3.9.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack

from otlp_tracing.errors import WireError

# The largest thing Kong sends is the answer to get_raw_body, which it holds in memory itself
# (client_body_buffer_size, 8 KiB unless raised).
MAX_MESSAGE_BYTES = 16 << 20
_MAX_ELEMENTS = 10_000  # headers and query arguments come in maps, 1000 at most
# msgpack's own buffer is 1 MiB for each of up to 4096 connections, and it writes through all of it before it begins
# again. Most messages have less than 4 KiB, and a read of the worker is at most this much.
_BUFFER_BYTES = 16 << 10
# A buffer that a large message has enlarged never shrinks. So a connection between two messages holds at most twice
# this much, and making an unpacker costs a hundredth of reading so many bytes.
_RENEW_BYTES = 256 << 10


@dataclass(slots=True, init=False)
class Request:
    """One call from Kong.

    Args:
        id: to be repeated in the answer.
        method: such as `plugin.HandleEvent`.
        arguments: as they came.
    """

    id: int
    method: str
    arguments: list[Any]

    # Written out: compiled, a dataclass's own would stay Python, and takes ten times as long.
    def __init__(self, id: int, method: str, arguments: list[Any]) -> None:  # noqa: A002
        self.id = id
        self.method = method
        self.arguments = arguments


class Decoder:
    """Bytes in, requests out, for one connection. After a WireError it must not be used again."""

    def __init__(self) -> None:
        self._unpacker = _unpacker()
        self._fed_bytes = 0  # to this unpacker

    def feed(self, data: bytes) -> list[Request]:
        """Take received bytes, in pieces of any size, and return the requests that they complete.

        Raises:
            WireError: for bytes that break the protocol; never anything else.
        """
        try:
            self._unpacker.feed(data)
            self._fed_bytes += len(data)
            requests: list[Request] = []
            message_end = 0
            for message in self._unpacker:
                requests.append(_request(message))
                message_end = self._unpacker.tell()
            if message_end == self._fed_bytes >= _RENEW_BYTES:
                self._unpacker, self._fed_bytes = _unpacker(), 0
            return requests
        except WireError:
            raise
        except Exception as error:
            # msgpack raises half a dozen unrelated kinds of exception for bad input.
            raise WireError(f"not MessagePack: {type(error).__name__}") from error


def _unpacker() -> msgpack.Unpacker:
    return msgpack.Unpacker(
        read_size=_BUFFER_BYTES,
        strict_map_key=False,
        unicode_errors="surrogateescape",
        max_buffer_size=MAX_MESSAGE_BYTES,
        max_array_len=_MAX_ELEMENTS,
        max_map_len=_MAX_ELEMENTS,
        max_ext_len=0,
    )


def _request(message: Any) -> Request:
    # A match statement says the same and takes three times as long, six times a request.
    if type(message) is list and len(message) == 4 and message[0] == 0:
        _, identifier, method, arguments = message
        if type(identifier) is int and type(method) is str and type(arguments) is list:
            return Request(identifier, method, arguments)
    raise WireError("a message that is no request")


def encode_result(identifier: int, value: Any) -> bytes:
    """Answer a request.

    Raises:
        TypeError, ValueError, OverflowError: for a value that MessagePack cannot hold.
    """
    return _pack([1, identifier, None, value])


def encode_request(request: Request) -> bytes:
    """Write a request as Kong did."""
    return _pack([0, request.id, request.method, request.arguments])


def encode_error(identifier: int, sentence: str) -> bytes:
    """Refuse a request. Only a string lets Kong's client have its answer."""
    return _pack([1, identifier, sentence, None])


# One packer for all messages: a new one for each costs more than the packing. It starts anew by itself
# after every message, also after one that it could not pack.
_packer = msgpack.Packer(unicode_errors="surrogateescape")


def _pack(message: list[Any]) -> bytes:
    packed: bytes = _packer.pack(message)
    return packed
