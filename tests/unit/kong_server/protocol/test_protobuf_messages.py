"""Promises of kong_server/protocol/protobuf_messages.py, with google.protobuf for a second opinion."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.errors import WireError
from otlp_tracing.kong_server.protocol.protobuf_messages import ARGUMENTS, METHODS, REPLIES
from otlp_tracing.kong_server.protocol.protobuf_wire import to_text
from otlp_tracing_devtools.fake_kong.protobuf_schema import CALLS, MESSAGES


def google(name: str, **fields: Any) -> bytes:
    return MESSAGES[name](**fields).SerializeToString()


def test_the_calls_are_kongs() -> None:
    """The plugin's calls have the messages that Kong's file gives them; the stand-in Kong has its own list of all."""
    assert METHODS.items() <= CALLS.items()
    assert {argument for argument, _ in METHODS.values()} == set(ARGUMENTS)
    assert {reply for _, reply in METHODS.values()} == set(REPLIES)


@pytest.mark.parametrize(
    ("name", "arguments", "fields"),
    [
        ("Empty", [], {}),
        ("String", ["x-\udcff"], {"v": b"x-\xff"}), ("String", [b"\xff"], {"v": b"\xff"}), ("String", [""], {}),
        ("Int", [418], {"v": 418}), ("Int", [0], {}), ("Int", [-5], {"v": -5}),
        ("KV", ["k", "v"], {"k": b"k", "v": {"string_value": b"v"}}),
        ("KV", ["k", {"a": 1.5}],
         {"k": b"k", "v": {"struct_value": {"fields": [{"key": b"a", "value": {"number_value": 1.5}}]}}}),
        ("KV", ["k", None], {"k": b"k"}),
        ("KV", ["k", ""], {"k": b"k", "v": {"string_value": b""}}),
        ("Struct", [{"a": "b"}], {"fields": [{"key": b"a", "value": {"string_value": b"b"}}]}),
        ("Struct", [{"a": []}], {"fields": [{"key": b"a", "value": {"list_value": {}}}]}),
        ("Struct", [{}], {}), ("Struct", [[]], {}),
    ],
)  # fmt: skip
def test_arguments_are_written_as_google_writes_them(name: str, arguments: list[Any], fields: dict[str, Any]) -> None:
    """Each message of arguments, byte for byte."""
    assert ARGUMENTS[name](arguments) == google(name, **fields)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Empty", [1]), ("String", []), ("String", [5]), ("String", ["a", "b"]), ("String", ["\ud800"]),
        ("Int", []), ("Int", ["5"]), ("Int", [True]), ("Int", [1.5]), ("Int", [1 << 31]),
        ("KV", []), ("KV", [1, 2]), ("KV", ["a", object()]), ("KV", ["a", 1, 2]),
        ("Struct", []), ("Struct", ["a"]), ("Struct", [["a"]]),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_refused(name: str, arguments: list[Any]) -> None:
    """A value that a message cannot hold is an error here; a wrong message would cost the request a 500."""
    with pytest.raises((TypeError, ValueError, OverflowError)):
        ARGUMENTS[name](arguments)


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("String", {"v": b"caf\xe9"}, "caf\udce9"), ("String", {}, None),
        ("Struct", {}, {}), ("Empty", {}, None),
        ("Struct", {"fields": [{"key": b"a", "value": {"bool_value": True}},
                               {"key": b"b", "value": {"string_value": b""}}]},
         {"a": [], "b": [""]}),
    ],
)  # fmt: skip
def test_replies_have_the_shape_of_messagepack(name: str, fields: dict[str, Any], expected: Any) -> None:
    """Each reply, and the value that stands for nil in it."""
    read = REPLIES[name](google(name, **fields))

    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 16_383, 16_384, 16_386, 16_387, 1 << 21])
def test_texts_of_every_size(size: int) -> None:
    """A log record of any size is read, and later fields of the message change nothing."""
    written = google("String", v=b"\xff" * size)

    assert REPLIES["String"](written) == ("\udcff" * size or None)
    assert REPLIES["String"](written + b"\x10\x01") == ("\udcff" * size or None)


@given(st.sampled_from(sorted(REPLIES)), st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_wire_error(name: str, data: bytes) -> None:
    """Whatever Kong answers, reading it gives a value or a WireError."""
    with contextlib.suppress(WireError):
        REPLIES[name](data)


@given(st.binary(max_size=300))
def test_a_text_is_what_google_reads(data: bytes) -> None:
    """Where google.protobuf reads a text from any bytes, it is the same text."""
    try:
        message: Any = MESSAGES["String"].FromString(data)
    except DecodeError:
        return
    with contextlib.suppress(WireError):  # groups, which ended with proto2
        assert (REPLIES["String"](data) or "") == to_text(message.v)
