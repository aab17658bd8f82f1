"""Promises of kong_server/protocol/msgpack.py."""

from __future__ import annotations

import tracemalloc

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.errors import WireError
from otlp_tracing.kong_server.protocol.msgpack import Decoder, Request, encode_error, encode_result

_PIECE_BYTES = 16 << 10


def test_requests_are_read_in_pieces() -> None:
    """The bytes may come one at a time, several requests in one."""
    data = msgpack.packb([0, 1, "plugin.Step", [{"EventId": 2}]]) + msgpack.packb([0, 2, "plugin.CloseInstance", [7]])
    decoder = Decoder()
    found = [request for byte in data for request in decoder.feed(bytes([byte]))]

    assert found == [Request(1, "plugin.Step", [{"EventId": 2}]), Request(2, "plugin.CloseInstance", [7])]
    assert list(Decoder().feed(data)) == found


def test_bytes_of_any_kind_come_and_go() -> None:
    """A byte that is not UTF-8 becomes a surrogate, and returns to Kong as the same byte."""
    (request,) = Decoder().feed(b"\x94\x00\x01\xa1m\x91\xa2\xc3\xff")

    assert request.arguments == ["\udcc3\udcff"]
    assert encode_result(1, request.arguments[0]) == b"\x94\x01\x01\xc0\xa2\xc3\xff"


def test_answers_have_kongs_form() -> None:
    """`[1, id, error, result]`, one of the two nil."""
    assert msgpack.unpackb(encode_result(5, {"Data": "ret"})) == [1, 5, None, {"Data": "ret"}]
    assert msgpack.unpackb(encode_error(5, "no")) == [1, 5, "no", None]


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1", msgpack.packb(5), msgpack.packb([1, 1, None, None]), msgpack.packb([0, "1", "m", []]),
        msgpack.packb([0, 1, "m", {}]), msgpack.packb([0, 1, "m", [msgpack.ExtType(1, b"x")]]),
        b"\xdd\xff\xff\xff\xff", b"\x91" * 100_000, b"\xdc\xff\xff" + b"\x80" * 65_535,
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(data: bytes) -> None:
    """Garbage, other messages, extensions, announced gigabytes, deep nesting: one kind of error."""
    with pytest.raises(WireError):
        list(Decoder().feed(data))


def test_a_message_cannot_grow_past_its_bound() -> None:
    """A length of four gigabytes is announced; the bytes after it are refused long before."""
    decoder = Decoder()
    with pytest.raises(WireError):
        for piece in [b"\xc6\xff\xff\xff\xff", *[b"x" * (1 << 20)] * 17]:
            list(decoder.feed(piece))


def _held_bytes(messages: list[bytes], connections: int) -> int:
    """Return the memory of connections that have read all messages."""
    tracemalloc.start()
    try:
        decoders = [Decoder() for _ in range(connections)]
        for decoder in decoders:
            for message in messages:
                pieces = (message[at : at + _PIECE_BYTES] for at in range(0, len(message), _PIECE_BYTES))
                assert sum(len(decoder.feed(piece)) for piece in pieces) == 1
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def _log_record(size: int) -> bytes:
    packed: bytes = msgpack.packb([0, 7, "plugin.Step", [{"EventId": 1, "Data": "x" * size}]])
    return packed


def test_a_connection_that_is_used_for_long_holds_little_memory() -> None:
    """A connection holds no more than 64 KiB after two megabytes of usual messages."""
    assert _held_bytes([_log_record(2000)] * 1000, connections=8) < 8 * (64 << 10)


def test_a_connection_gives_the_memory_of_a_large_message_back() -> None:
    """A connection that has read a message of 8 MiB holds no more than 64 KiB."""
    assert _held_bytes([_log_record(8 << 20)], connections=2) < 2 * (64 << 10)


@pytest.mark.parametrize("size", [1, 100, 5000, 300_000])
def test_many_megabytes_are_read_in_pieces_of_any_size(size: int) -> None:
    """The place where one read ends and the next begins makes no difference to the requests."""
    messages = [_log_record(length) for length in (10, 400_000, 20, 300_000, 30, 100, 600_000, 2)]
    data = b"".join(messages)
    decoder = Decoder()
    found = [request for at in range(0, len(data), size) for request in decoder.feed(data[at : at + size])]

    assert found == [request for message in messages for request in Decoder().feed(message)]


@given(st.lists(st.binary(max_size=64), max_size=8))
def test_any_bytes_give_requests_or_a_wire_error(pieces: list[bytes]) -> None:
    """Whatever a peer sends, the result is requests or a WireError."""
    decoder = Decoder()
    try:
        for piece in pieces:
            list(decoder.feed(piece))
    except WireError:
        pass
