"""Promises of plugin/pdk.py."""

from __future__ import annotations

import pytest

from doubles import FakeKong
from otlp_tracing.plugin.pdk import KongCallError, KongCalls


@pytest.mark.parametrize("lua_style", [False, True])
def test_both_styles_of_answer_are_one(lua_style: bool) -> None:
    """`(data, err)` and data alone mean the same."""
    calls = KongCalls(FakeKong({"kong.request.get_headers": {"host": ["a"]}}, lua_style=lua_style))

    assert calls.request_headers() == {"host": ["a"]}


def test_an_error_of_kongs_is_an_exception() -> None:
    """In Lua style an error comes as a value, and is raised here."""
    with pytest.raises(KongCallError, match="no such thing"):
        KongCalls(FakeKong({"kong.log.serialize": (None, "no such thing")})).read_log()


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_a_request_without_headers_has_none(nothing: object) -> None:
    """Lua's empty table comes as any of these."""
    assert KongCalls(FakeKong({"kong.request.get_headers": nothing})).request_headers() == {}


def test_the_log_record_is_bytes() -> None:
    """Bytes that are not UTF-8 come out of our server's text as they were."""
    assert KongCalls(FakeKong({"kong.log.serialize": '{"a":"\udcff"}'})).read_log() == b'{"a":"\xff"}'


@pytest.mark.parametrize("odd", [None, 5, {}])
def test_a_log_record_of_another_type_is_an_error(odd: object) -> None:
    """A result that the PDK does not promise is refused."""
    with pytest.raises(KongCallError):
        KongCalls(FakeKong({"kong.log.serialize": odd})).read_log()


def test_a_response_header_is_set_as_named() -> None:
    """Name and value reach Kong unchanged."""
    kong = FakeKong()
    KongCalls(kong).set_response_header("Server-Timing", "trace;desc=x")

    assert kong.calls == [("kong.response.set_header", ("Server-Timing", "trace;desc=x"))]
