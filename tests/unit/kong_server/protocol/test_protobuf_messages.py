"""Promises of kong_server/protocol/protobuf_messages.py, with google.protobuf for a second opinion."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.errors import WireError
from otlp_tracing.kong_server.protocol.protobuf_messages import ARGUMENTS, REPLIES
from otlp_tracing.kong_server.protocol.protobuf_wire import to_text
from otlp_tracing_devtools.fake_kong.protobuf_schema import MESSAGES

GOOGLE_NAMES = {"Maximum": "Int", "Text": "String"}


def google(name: str, **fields: Any) -> bytes:
    return MESSAGES[GOOGLE_NAMES.get(name, name)](**fields).SerializeToString()


@pytest.mark.parametrize(
    ("name", "arguments", "fields"),
    [
        ("Empty", [], {}), ("Empty", [None], {}),
        ("String", ["x-\udcff"], {"v": b"x-\xff"}), ("String", [b"\xff"], {"v": b"\xff"}), ("String", [""], {}),
        ("ByteString", [b"\x00\xff"], {"v": b"\x00\xff"}),
        ("Int", [418], {"v": 418}), ("Int", [0], {}), ("Int", [200.0], {"v": 200}), ("Int", [-5], {"v": -5}),
        ("Maximum", [], {"v": 100}), ("Maximum", [None], {"v": 100}), ("Maximum", [1000], {"v": 1000}),
        ("Bool", [True], {"v": True}), ("Bool", [], {}),
        ("KV", ["k", "v"], {"k": b"k", "v": {"string_value": b"v"}}),
        ("KV", ["k", {"a": 1.5}],
         {"k": b"k", "v": {"struct_value": {"fields": [{"key": b"a", "value": {"number_value": 1.5}}]}}}),
        ("KV", ["k"], {"k": b"k"}), ("KV", ["k", None], {"k": b"k"}),
        ("KV", ["k", ""], {"k": b"k", "v": {"string_value": b""}}),
        ("ListValue", ["a", 1, True], {"values": [{"string_value": b"a"}, {"number_value": 1}, {"bool_value": True}]}),
        ("ListValue", [], {}),
        ("Struct", [{"a": "b"}], {"fields": [{"key": b"a", "value": {"string_value": b"b"}}]}),
        ("Struct", [{"a": []}], {"fields": [{"key": b"a", "value": {"list_value": {}}}]}),
        ("Struct", [{}], {}), ("Struct", [[]], {}),
        ("ExitArgs", [204], {"status": 204}), ("ExitArgs", [200, "x"], {"status": 200, "body": b"x"}),
        ("ExitArgs", [302, None, {"l": "/"}],
         {"status": 302, "headers": {"fields": [{"key": b"l", "value": {"string_value": b"/"}}]}}),
        ("Target", ["h", 80], {"host": b"h", "port": 80}),
        ("ConsumerSpec", ["alice", True], {"id": b"alice", "by_username": True}), ("ConsumerSpec", ["a"], {"id": b"a"}),
        ("AuthenticateArgs", [{"id": "1", "created_at": 1 << 40, "username": "a", "custom_id": "c", "tags": ["t", ""]},
                              {"id": "2", "consumer_id": "1", "key": "k"}],
         {"consumer": {"id": b"1", "created_at": 1 << 40, "username": b"a", "custom_id": b"c", "tags": [b"t", b""]},
          "credential": {"id": b"2", "consumer_id": b"1"}}),
        ("AuthenticateArgs", [None, {"id": "2"}], {"credential": {"id": b"2"}}), ("AuthenticateArgs", [], {}),
    ],
)  # fmt: skip
def test_arguments_are_written_as_google_writes_them(name: str, arguments: list[Any], fields: dict[str, Any]) -> None:
    """Each message of arguments, byte for byte."""
    assert ARGUMENTS[name](arguments) == google(name, **fields)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Empty", [1]), ("String", []), ("String", [5]), ("String", ["a", "b"]), ("String", ["\ud800"]),
        ("ByteString", [None]), ("Int", []), ("Int", ["5"]), ("Int", [True]), ("Int", [1.5]), ("Int", [1 << 31]),
        ("Int", [float("nan")]), ("Maximum", ["all"]), ("KV", []), ("KV", [1, 2]), ("KV", ["a", object()]),
        ("ListValue", [object()]), ("Struct", []), ("Struct", ["a"]), ("Struct", [["a"]]), ("ExitArgs", []),
        ("ExitArgs", [200, {"a": 1}]), ("ExitArgs", [200, "", "h"]), ("Target", ["h"]), ("Target", ["h", "80"]),
        ("ConsumerSpec", []), ("AuthenticateArgs", [{"id": 5}]), ("KV", ["a", 1, 2]),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_refused(name: str, arguments: list[Any]) -> None:
    """What a message cannot hold is an error here, where a wrong message would cost the request a 500."""
    with pytest.raises((TypeError, ValueError, OverflowError)):
        ARGUMENTS[name](arguments)


ROUTE = {
    "id": "r", "created_at": 5, "updated_at": 6, "name": "n", "protocols": ["http", "https"], "methods": ["GET"],
    "hosts": ["h"], "paths": ["~/a$"], "headers": ["x"], "https_redirect_status_code": 426, "regex_priority": -1,
    "strip_path": True, "preserve_host": True, "snis": ["s"], "sources": ["s"], "destinations": ["d"], "tags": ["t"],
    "service": {"id": "s"},
}  # fmt: skip
SERVICE = {
    "id": "s", "created_at": 5, "updated_at": 6, "name": "n", "retries": 5, "protocol": "http", "host": "h",
    "port": 80, "path": "/", "connect_timeout": 1, "write_timeout": 2, "read_timeout": 3, "tags": ["t"],
    "client_certificate": {"id": "c"},
}  # fmt: skip
CONSUMER = {"id": "c", "created_at": 5, "username": "a\udcff", "custom_id": "i", "tags": ["t"]}
MEMORY = {
    "lua_shared_dicts": {
        "kong": {"allocated_slabs": 1, "capacity": 2}, "kong_db_cache": {"allocated_slabs": 3, "capacity": 4},
    },
    "workers_lua_vms": [{"http_allocated_gc": 1, "pid": 2}, {"http_allocated_gc": 3, "pid": 4}],
}  # fmt: skip


def as_bytes(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return [as_bytes(item) for item in value]
    return {key: as_bytes(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    ("name", "entity"),
    [
        ("Route", ROUTE), ("Service", SERVICE), ("Consumer", CONSUMER), ("MemoryStats", MEMORY),
        ("AuthenticatedCredential", {"id": "1", "consumer_id": "2"}),
    ],
)  # fmt: skip
def test_entities_are_tables(name: str, entity: dict[str, Any]) -> None:
    """Every field has its own name, as in the entity that Kong gives over MessagePack."""
    message = MESSAGES[name](**as_bytes(entity))

    assert {field.name for field in message.DESCRIPTOR.fields} == set(entity)
    assert REPLIES[name](message.SerializeToString()) == entity


def test_an_entitys_zeros_are_there() -> None:
    """Kong sends neither 0 nor false; a plugin that asks for them finds them, as over MessagePack."""
    route = REPLIES["Route"](google("Route", id=b"r"))

    assert route["preserve_host"] is False
    assert route["regex_priority"] == 0
    assert "name" not in route
    assert "paths" not in route


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("Bool", {"v": True}, True), ("Bool", {}, False),
        ("Int", {"v": 8000}, 8000), ("Int", {"v": -1}, -1), ("Int", {}, None),
        ("Number", {"v": 1.1}, 1.1), ("Number", {"v": 2.0}, 2), ("Number", {}, None),
        ("String", {"v": b"caf\xe9"}, "caf\udce9"), ("String", {}, None),
        ("Text", {"v": b"a=1"}, "a=1"), ("Text", {}, ""),
        ("ByteString", {"v": b"\xff"}, b"\xff"), ("ByteString", {}, b""),
        ("RawBodyResult", {"content": b"\xff"}, b"\xff"), ("RawBodyResult", {"content": b""}, b""),
        ("RawBodyResult", {}, b""),
        ("RawBodyResult", {"body_filepath": b"/tmp/b"}, None), ("RawBodyResult", {"error": b"no"}, None),
        ("UriCapturesResult", {"unnamed": [b"1", b"\xff"], "named": [{"key": b"id", "value": b"1"}, {"key": b"e"}]},
         {"unnamed": ["1", "\udcff"], "named": {"id": "1", "e": ""}}),
        ("UriCapturesResult", {}, {"unnamed": [], "named": {}}),
        ("Value", {"null_value": 1}, None), ("Value", {}, None), ("Value", {"bool_value": False}, False),
        ("Value", {"number_value": 7}, 7), ("Struct", {}, {}), ("Empty", {}, None),
        ("Struct", {"fields": [{"key": b"a", "value": {"bool_value": True}},
                               {"key": b"b", "value": {"string_value": b""}}]},
         {"a": [], "b": [""]}),
    ],
)  # fmt: skip
def test_replies_have_the_shape_of_messagepack(name: str, fields: dict[str, Any], expected: Any) -> None:
    """Each reply, and what stands for nil in it."""
    read = REPLIES[name](google(name, **fields))

    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize("name", ["Route", "Service", "Consumer", "MemoryStats", "AuthenticatedCredential"])
def test_no_entity_is_none(name: str) -> None:
    """Kong's nil is a message of no bytes."""
    assert REPLIES[name](b"") is None


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 16_383, 16_384, 16_386, 16_387, 1 << 21])
def test_texts_of_every_size(size: int) -> None:
    """A log record of any size is read, and what follows it in the message changes nothing."""
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
