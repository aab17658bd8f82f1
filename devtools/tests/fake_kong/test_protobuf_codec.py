"""Promises of testing/gateway/protobuf_codec.py; at the other end the plugin server's codec, which shares no line."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.errors import WireError
from otlp_tracing.kong_server.protocol import protobuf as server
from otlp_tracing_devtools.fake_kong.msgpack_codec import Binary, EmptyMap
from otlp_tracing_devtools.fake_kong.plugin_rpc import PluginError
from otlp_tracing_devtools.fake_kong.protobuf_codec import (
    FrameDecoder,
    arguments_of,
    decode_return,
    encode_frame,
    encode_result,
    encode_rpc_call,
)
from otlp_tracing_devtools.fake_kong.protobuf_schema import CALLS

TEXTS = st.binary(max_size=140).map(lambda data: data.decode("utf-8", "surrogateescape"))
NAMES = TEXTS.filter(bool)
SCALARS = TEXTS | st.just(True) | st.integers(-(1 << 53), 1 << 53) | st.floats(allow_nan=False)
TABLES = st.recursive(
    SCALARS,
    lambda values: st.lists(values, min_size=1, max_size=4) | st.dictionaries(NAMES, values, max_size=4),
    max_leaves=12,
)


def sent(method: str, *arguments: Any) -> list[Any]:
    """The arguments that Kong's PDK gets when a plugin makes this call."""
    name, message = server.FrameDecoder().feed(server.encode_call(method, arguments))
    assert name == method.encode()
    return arguments_of(method, message)


def received(method: str, result: Any) -> Any:
    """The value that a plugin gets when Kong's PDK answers this."""
    return server.decode_reply(method, encode_result(method, result))


@given(NAMES, TABLES)
def test_what_a_plugin_remembers_arrives(key: str, value: Any) -> None:
    """A table of any shape enters Kong's log record as the plugin wrote it."""
    assert sent("kong.log.set_serialize_value", key, value) == [key, value]


@given(TABLES)
def test_what_kong_remembers_comes_back(value: Any) -> None:
    """A table of any shape comes out of Kong's context as Kong holds it."""
    assert received("kong.nginx.get_ctx", value) == value


@pytest.mark.parametrize(
    ("method", "arguments", "expected"),
    [
        ("kong.service.request.set_headers", [{"a": "1", "b": ["2", "3"], "c": []}],
         [{"a": "1", "b": ["2", "3"], "c": []}]),
        ("kong.service.request.set_header", ["a", "b"], ["a", "b"]),
        ("kong.service.request.set_header", ["a"], ["a", None]),
        ("kong.log.info", ["a", 1, {"b": True}], ["a", 1, {"b": True}]), ("kong.log.serialize", [], []),
        ("kong.request.get_headers", [], [100]), ("kong.request.get_query", [1000], [1000]),
        ("kong.request.get_header", ["x"], ["x"]), ("kong.client.get_protocol", [], [False]),
        ("kong.response.exit", [418, "teapot", {"x": "y"}], [418, "teapot", {"x": "y"}]),
        ("kong.response.exit", [204], [204, "", None]), ("kong.response.set_status", [200], [200]),
        ("kong.service.set_target", ["127.0.0.1", 80], ["127.0.0.1", 80]),
        ("kong.service.request.set_raw_body", [b"\xff"], ["\udcff"]),
        ("kong.client.load_consumer", ["alice", True], ["alice", True]),
        ("kong.client.authenticate", [{"id": "1", "tags": ["t"]}, {"id": "2"}],
         [{"id": "1", "created_at": 0, "username": "", "custom_id": "", "tags": ["t"]},
          {"id": "2", "consumer_id": ""}]),
        ("kong.client.authenticate", [None, {"id": "2"}], [None, {"id": "2", "consumer_id": ""}]),
    ],
)  # fmt: skip
def test_arguments_arrive(method: str, arguments: list[Any], expected: list[Any]) -> None:
    """The PDK gets the plugin's arguments; a missing one is the message's zero, or nil for a table."""
    assert sent(method, *arguments) == expected


def test_false_and_nil_are_one() -> None:
    """Kong reads `bool or string or …`: a false in a table is gone, and so is a false alone."""
    assert sent("kong.ctx.shared.set", "k", False) == ["k", None]
    assert sent("kong.ctx.shared.set", "k", {"a": False, "b": None, "c": 0}) == ["k", {"c": 0}]
    assert sent("kong.log.info", None, "x") == [None, "x"]


def test_a_null_is_a_word() -> None:
    """lua-protobuf names a null_value; to send nil, a plugin must send nothing."""
    assert arguments_of("kong.log.info", b"\x0a\x02\x08\x00") == ["NULL_VALUE"]


@pytest.mark.parametrize("message", [b"", b"\x08\xe9\x07"])
def test_a_maximum_must_be_there(message: bytes) -> None:
    """Left out it arrives as 0, which Kong refuses, as it does a number over 1000."""
    with pytest.raises(PluginError, match="max"):
        arguments_of("kong.request.get_headers", message)


ROUTE = {
    "id": "r", "name": "n", "paths": ["~/a$"], "protocols": ["http"], "strip_path": True, "preserve_host": False,
    "regex_priority": 0, "https_redirect_status_code": 426, "created_at": 5, "updated_at": 6, "service": {"id": "s"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "result", "expected"),
    [
        ("kong.request.get_headers", {"a": ["1"], "b": ["2", "3"], "c": []}, {"a": ["1"], "b": ["2", "3"], "c": []}),
        ("kong.request.get_headers", {"a": [""]}, {"a": [""]}), ("kong.request.get_query", EmptyMap(), {}),
        ("kong.request.get_header", "caf\udce9", "caf\udce9"), ("kong.request.get_header", None, None),
        ("kong.log.serialize", "{}" * 5000, "{}" * 5000), ("kong.response.get_status", 200, 200),
        ("kong.client.get_port", 40_000.0, 40_000), ("kong.nginx.req_start_time", 1795331303.319, 1795331303.319),
        ("kong.request.get_http_version", 2, 2), ("kong.request.get_raw_body", Binary(b"\xff"), b"\xff"),
        ("kong.request.get_raw_body", Binary(b""), b""), ("kong.request.get_raw_query", "", ""),
        ("kong.ip.is_trusted", False, False), ("kong.service.set_upstream", True, True),
        ("kong.ctx.shared.get", None, None), ("kong.ctx.shared.get", False, False), ("kong.ctx.shared.get", [], {}),
        ("kong.router.get_route", {**ROUTE, "ws_id": "w", "tags": None}, ROUTE), ("kong.router.get_route", None, None),
        ("kong.client.get_consumer", {"id": "c", "username": "alice", "created_at": 5, "updated_at": 6},
         {"id": "c", "username": "alice", "created_at": 5}),
        ("kong.request.get_uri_captures", {"unnamed": ["1"], "named": {"id": "\udcff"}},
         {"unnamed": ["1"], "named": {"id": "\udcff"}}),
        ("kong.request.get_uri_captures", {"unnamed": [], "named": []}, {"unnamed": [], "named": {}}),
        ("kong.node.get_memory_stats", {"lua_shared_dicts": {"kong": {"capacity": 5}}, "workers_lua_vms": [{"pid": 7}]},
         {"lua_shared_dicts": {"kong": {"allocated_slabs": 0, "capacity": 5}},
          "workers_lua_vms": [{"http_allocated_gc": 0, "pid": 7}]}),
        ("kong.log.err", None, None), ("kong.nginx.set_ctx", None, None),
    ],
)  # fmt: skip
def test_results_come_back(method: str, result: Any, expected: Any) -> None:
    """A plugin gets the PDK's answer, in the shape it has over MessagePack."""
    assert received(method, result) == expected


def test_a_result_of_the_wrong_kind_throws() -> None:
    """A table where a text is wanted is an error in Lua, too."""
    with pytest.raises(PluginError, match="encode"):
        encode_result("kong.nginx.get_var", {"a": 1})


def test_calls_are_understood_by_the_server() -> None:
    """The plugin server reads each command of Kong's as it was sent."""
    started = encode_rpc_call(2, "cmd_start_instance", {"name": b"p", "config": b"{}"})
    handled = encode_rpc_call(3, "cmd_handle_event", {"instance_id": -5, "event_name": b"log"})
    closed = encode_rpc_call(4, "cmd_close_instance", {"instance_id": 7})

    assert server.decode_call(started) == server.StartInstance(2, "p", b"{}")
    assert server.decode_call(handled) == server.HandleEvent(3, -5, "log")
    assert server.decode_call(closed) == server.CloseInstance(4, 7)


def test_returns_are_understood() -> None:
    """The server's return gives its sequence and, for a started instance, its id."""
    (frame,) = server.FrameDecoder().feed(server.encode_start_return(9, "p", -5, b"{}", 1))

    assert decode_return(frame).sequence == 9
    assert decode_return(frame).instance_status.instance_id == -5
    assert not decode_return(b"\x08\x02").HasField("instance_status")
    with pytest.raises(WireError):
        decode_return(b"\xff")


def test_frames_come_in_pieces() -> None:
    """Byte by byte or all at once; an announced gigabyte is refused."""
    decoder = FrameDecoder()
    found = []
    for byte in encode_frame(b"abc") + encode_frame(b""):
        decoder.feed(bytes((byte,)))
        found.append(decoder.next_message())

    assert [frame for frame in found if frame is not None] == [b"abc", b""]
    decoder.feed(b"\x00\x00\x00\x40")
    with pytest.raises(WireError):
        decoder.next_message()


@given(st.sampled_from(sorted(CALLS)), st.binary(max_size=100))
def test_any_arguments_are_values_or_an_error(method: str, frame: bytes) -> None:
    """Reading any bytes of a server gives values, a WireError or the error that Kong throws."""
    with contextlib.suppress(WireError, PluginError):
        arguments_of(method, frame)
