"""Promises of kong_server/protocol/protobuf.py, with google.protobuf for a second opinion."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.errors import FrameTooLarge, WireError
from otlp_tracing.kong_server.protocol import protobuf as rpc
from otlp_tracing.kong_server.protocol.protobuf_messages import METHODS
from otlp_tracing_devtools.fake_kong.protobuf_schema import MESSAGES

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
INT32 = st.integers(-(1 << 31), (1 << 31) - 1)


def call(sequence: int, **command: Any) -> bytes:
    return MESSAGES["RpcCall"](sequence=sequence, **command).SerializeToString()


def frames(data: bytes) -> list[bytes]:
    return list(rpc.FrameDecoder().feed(data))


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(1, 9))
def test_frames_are_read_in_pieces(messages: list[bytes], size: int) -> None:
    """The bytes may come in pieces of any size, several frames in one."""
    data = b"".join(map(rpc.encode_frame, messages))
    decoder = rpc.FrameDecoder()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]

    assert frames(data) == messages
    assert [frame for piece in pieces for frame in decoder.feed(piece)] == messages


def test_a_frame_has_a_bound() -> None:
    """Sixteen megabytes are announced and read; one byte more is refused before any of them came."""
    size = rpc.MAX_MESSAGE_BYTES

    assert len(frames(size.to_bytes(4, "little") + bytes(size))[0]) == size
    with pytest.raises(FrameTooLarge):
        frames((size + 1).to_bytes(4, "little"))


@given(INT64, INT32, st.binary(max_size=30), st.binary(max_size=200))
def test_calls_are_read(sequence: int, number: int, name: bytes, config: bytes) -> None:
    """Every call that Kong makes, with numbers and texts of any kind."""
    text = name.decode("utf-8", "surrogateescape")
    started = rpc.decode_call(call(sequence, cmd_start_instance={"name": name, "config": config}))
    closed = rpc.decode_call(call(sequence, cmd_close_instance={"instance_id": number}))
    handled = rpc.decode_call(call(sequence, cmd_handle_event={"instance_id": number, "event_name": name}))

    assert started == rpc.StartInstance(sequence, text, config)
    assert closed == rpc.CloseInstance(sequence, number)
    assert handled == rpc.HandleEvent(sequence, number, text)


@pytest.mark.parametrize("command", ["cmd_get_plugin_names", "cmd_get_plugin_info", "cmd_get_instance_status"])
def test_the_other_calls_are_named_so(command: str) -> None:
    """A call that the protocol has and Kong does not use has a kind of its own, which can be answered."""
    assert rpc.decode_call(call(7, **{command: {}})) == rpc.Unsupported(7)


def test_the_order_of_fields_is_free() -> None:
    """Kong 3.4 writes the sequence behind the command."""
    frame = b"\xa2\x02\x0a\x12\x06access\x08\x01\x08\x03"

    assert rpc.decode_call(frame) == rpc.HandleEvent(3, 1, "access")


@pytest.mark.parametrize(
    "frame", [b"", b"\x08\x01", b"\xff", b"\xaa\x02\x00", b"\xa0\x02\x00", b"\xa2\x02\x05\x08", b"\x0b"]
)
def test_what_is_no_call_is_refused(frame: bytes) -> None:
    """No command, an unknown one, or one that is cut short."""
    with pytest.raises(WireError):
        rpc.decode_call(frame)


@given(INT64, st.text(min_size=1, max_size=20), INT32, st.integers(0, (1 << 63) - 1))
def test_a_started_instance_is_answered_whole(sequence: int, name: str, number: int, started_at: int) -> None:
    """Without instance_status Kong 3.4 gives the plugin up for good, so it is always there."""
    (written,) = frames(rpc.encode_start_return(sequence, name, number, b'{"a":1}', started_at))
    message: Any = MESSAGES["RpcReturn"].FromString(written)
    status = message.instance_status

    assert message.WhichOneof("kind") == "instance_status"
    assert (message.sequence, status.name.decode(), status.instance_id) == (sequence, name, number)
    assert (json.loads(status.config.string_value), status.started_at) == ({"a": 1}, started_at)
    assert message.SerializeToString() == written


@pytest.mark.parametrize("number", [1 << 31, -(1 << 31) - 1])
def test_an_instance_has_32_bits(number: int) -> None:
    """A number that does not fit would name another instance."""
    with pytest.raises(ValueError, match="32 bits"):
        rpc.encode_start_return(1, "p", number, b"", 0)


@given(INT64)
def test_returns_repeat_the_sequence(sequence: int) -> None:
    """Kong breaks the request off when the number is not its own."""
    (written,) = frames(rpc.encode_return(sequence))

    assert written == MESSAGES["RpcReturn"](sequence=sequence).SerializeToString()


def test_a_call_is_two_frames() -> None:
    """The method's name as Kong takes it, then the arguments."""
    headers = {"traceparent": ["00-01"], "x-gone": []}
    written = frames(rpc.encode_call("kong.service.request.set_headers", [headers]))

    assert written[0] == b"kong.service.request.set_headers"
    assert len(written) == 2
    assert rpc.decode_reply("kong.request.get_headers", written[1]) == headers
    assert frames(rpc.END_OF_EVENT) == [b""]


def test_an_unknown_call_is_not_sent() -> None:
    """Kong answers 500 to a method that it does not know; the event ends here instead."""
    for method in ("kong.request.get_body", "kong.log", "os.exit", ""):
        with pytest.raises(rpc.UnknownMethodError):
            rpc.encode_call(method, [])
        with pytest.raises(rpc.UnknownMethodError):
            rpc.decode_reply(method, b"")


def test_calls_without_a_reply_are_known() -> None:
    """What the plugin writes can be written ahead, what it reads cannot."""
    assert {method for method in METHODS if ".set_" in method} == rpc.NO_REPLY
    assert all(rpc.decode_reply(method, b"") is None for method in rpc.NO_REPLY)


@given(
    st.sampled_from(sorted(METHODS)),
    st.lists(st.none() | st.integers() | st.text(max_size=5) | st.booleans(), max_size=4),
)
def test_any_arguments_give_bytes_or_an_error(method: str, arguments: list[Any]) -> None:
    """A plugin's mistake is an ordinary exception, and no other kind of message."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        _, message = frames(rpc.encode_call(method, arguments))
        assert MESSAGES[METHODS[method][0]].FromString(message).SerializeToString() == message


@given(st.lists(st.binary(max_size=64), max_size=8), st.sampled_from(sorted(METHODS)))
def test_any_bytes_give_messages_or_a_wire_error(pieces: list[bytes], method: str) -> None:
    """Whatever a peer sends, the result is calls and replies or a WireError."""
    decoder = rpc.FrameDecoder()
    for piece in pieces:
        with contextlib.suppress(WireError):
            rpc.decode_call(piece)
        with contextlib.suppress(WireError):
            rpc.decode_reply(method, piece)
    with contextlib.suppress(WireError):
        for piece in pieces:
            list(decoder.feed(piece))
