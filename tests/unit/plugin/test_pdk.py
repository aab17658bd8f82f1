"""Promises of plugin/pdk.py."""

from __future__ import annotations

from typing import Any

import pytest

from doubles import FakeKong
from otlp_tracing.plugin import pdk


def headers_of(**answers: Any) -> list[Any]:
    """Run a phase that reads the headers; return all that it was sent."""
    sent: list[Any] = []

    def phase() -> pdk.Calls:
        sent.append((yield pdk.GET_HEADERS))
        sent.append((yield pdk.set_response_header("Server-Timing", "trace;desc=x")))

    kong = FakeKong({"kong.request.get_headers": {"host": ["a"]}} | answers.pop("answers", {}), **answers)
    pdk.make_calls(phase(), kong)
    assert kong.calls == [
        ("kong.request.get_headers", (1000,)),
        ("kong.response.set_header", ("Server-Timing", "trace;desc=x")),
    ]
    return sent


@pytest.mark.parametrize("lua_style", [False, True])
def test_both_styles_of_answer_are_one(lua_style: bool) -> None:
    """`(data, err)` and data alone mean the same."""
    assert pdk.headers_of(headers_of(lua_style=lua_style)[0]) == {"host": ["a"]}


@pytest.mark.parametrize("answer", [(None, "no such thing"), RuntimeError("no such thing")])
def test_an_error_of_kongs_is_an_exception(answer: object) -> None:
    """It comes as a value or is raised by a plugin server; the phase is sent it, and a reader raises it."""
    sent = headers_of(answers={"kong.request.get_headers": answer})
    with pytest.raises(pdk.KongCallError, match="no such thing"):
        pdk.headers_of(sent[0])


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_a_request_without_headers_has_none(nothing: object) -> None:
    """Lua's empty table comes as any of these."""
    assert pdk.headers_of(nothing) == {}


def test_the_log_record_is_bytes() -> None:
    """Bytes that are not UTF-8 come out of our server's text as they were."""
    assert pdk.log_of('{"a":"\udcff"}') == b'{"a":"\xff"}'


@pytest.mark.parametrize("odd", [None, 5, {}])
def test_a_log_record_of_another_type_is_an_error(odd: object) -> None:
    """A result that the PDK does not promise is refused."""
    with pytest.raises(pdk.KongCallError):
        pdk.log_of(odd)
