"""Promises of sidecar/ingest/log_record.py."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout import TRANSCRIPTS
from otlp_tracing.errors import WireError
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.sidecar.ingest import log_record
from otlp_tracing.sidecar.ingest.log_record import (
    RequestHeaders,
    completed,
    decode_headers,
    decode_log,
    decode_outline,
)


def test_a_string_that_is_not_utf8_is_latin1_alone() -> None:
    """The byte is kept as the character it is in Latin-1; strings that are UTF-8 do not change."""
    log = b'{"request":{"headers":{"a":"caf\xe9","b":"caf\xc3\xa9"},"uri":"/\xff"}}'

    assert decode_headers(log) == ({"a": "café", "b": "café"}, {})
    assert decode_log(log).request.uri == "/ÿ"


@pytest.mark.parametrize(
    "log",
    [
        b"", b"[]", b"5", b"{", b'{"request":5}', b'{"response":[]}', b'{"request":"\xff"}', b"\xff", b"[" * 100_000,
        b'{"started_at":1e999}', b'{"started_at":1e999,"client_ip":"\xff"}',
        b'{"started_at":NaN,"client_ip":"\xff"}', b'{"started_at":-Infinity,"client_ip":"\xff"}',
    ],
)  # fmt: skip
def test_what_is_no_log_record_is_refused(log: bytes) -> None:
    """One kind of error, whatever is wrong."""
    with pytest.raises(WireError):
        decode_log(log)


@pytest.mark.parametrize(
    "field",
    [
        b'"tries":"x"', b'"tries":[{"ip":5}]', b'"response":{"status":"200"}', b'"request":{"uri":"/a","size":"5"}',
        b'"request":{"uri":"/a","tls":{"version":3}}', b'"upstream_status":true', b'"route":{"paths":[1]}',
        b'"service":7', b'"route":3,"service":[],"consumer":"c","started_at":"now"',
    ],
)  # fmt: skip
def test_a_field_of_a_wrong_type_costs_that_field_alone(field: bytes) -> None:
    """Another plugin can set any field; the rest of the record is read."""
    record = decode_log(b'{"request":{"uri":"/a"},"client_ip":"10.0.0.1",%b}' % field)

    assert (record.request.uri, record.client_ip) == ("/a", "10.0.0.1")


def test_a_wrong_field_of_a_try_costs_that_field_alone() -> None:
    """Each try keeps its other facts, and one that is no object stays a try, so that statuses belong to their tries."""
    ignored: list[str] = []
    tries = b'{"ip":"10.0.0.1","port":"x","code":[]},5,null,{"ip":7,"port":80},{"ip":"10.0.0.2","port":81}'
    record = decode_log(b'{"tries":[%b]}' % tries, ignored.append)

    assert isinstance(record.tries, list)
    assert [(one.ip, one.port) for one in record.tries] == [
        ("10.0.0.1", None),
        (None, None),
        (None, None),
        (None, 80),
        ("10.0.0.2", 81),
    ]
    assert set(ignored) == {"tries"}


def test_a_session_beside_a_request_is_another_plugins() -> None:
    """A record of a connection has no request: the request stays one, and the field is named."""
    ignored: list[str] = []

    assert decode_log(b'{"request":{"uri":"/a"},"session":{"user":"ann"}}', ignored.append).session is None
    assert decode_log(b'{"session":{"status":200}}', ignored.append).session is not None
    assert ignored == ["session"]


def test_half_a_character_costs_that_character_alone() -> None:
    """JSON can escape the half of a pair; UTF-8 has no bytes for it."""
    record = decode_log(b'{"client_ip":"a\\ud83d","request":{"uri":"/\\ud83d\\ude00"}}')

    assert (record.client_ip, record.request.uri) == ("a\ufffd", "/\U0001f600")


def test_a_field_that_is_ignored_is_named_without_its_value(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line has the field and both types."""
    monkeypatch.setattr(log_record, "_ignored", LimitedLog(logging.getLogger("test")))

    decode_log(b'{"client_ip":12345,"request":{"uri":"\xff"}}')

    assert [record.getMessage() for record in caplog.records] == [
        "log record field ignored: Expected `str | null`, got `int` - at `$.client_ip`"
    ]


def test_a_record_with_many_wrong_types_is_refused() -> None:
    """Each wrong field costs a pass over the record, so their number is bounded."""
    fields = ("started_at", "client_ip", "upstream_uri", "source", "workspace", "workspace_name")
    wrong = ",".join(f'"{name}":[]' for name in fields)

    assert decode_log(b'{"route":[],"service":[],%b}' % wrong.encode()).client_ip is None
    with pytest.raises(WireError, match="more than 8 fields have a wrong type"):
        decode_log(b'{"route":[],"service":[],"consumer":[],%b}' % wrong.encode())


@pytest.mark.parametrize("headers", [b"[]", b"{}", b"[5]", b"5", b"null"])
def test_headers_that_cannot_be_read_cost_no_request(headers: bytes) -> None:
    """Lua's empty table may be a list; a record with headers that are none is one without headers."""
    log = b'{"request":{"uri":"/a","headers":%b}}' % headers

    assert (decode_log(log).request.uri, decode_headers(log)) == ("/a", ({}, {}))


@given(st.dictionaries(st.text(max_size=12), st.one_of(st.text(max_size=9), st.lists(st.text(max_size=9)), st.none())))
def test_all_headers_are_those_of_the_record(headers: dict[str, Any]) -> None:
    """The record has a few of them; the others are read from its bytes, with the same repairs."""
    log = json.dumps({"request": {"headers": {**headers, "host": "caf\xe9"}}, "response": {"headers": headers}})

    for encoded in (log.encode(), log.replace("caf\\u00e9", "caf\xe9").encode("latin-1")):
        request, response = decode_headers(encoded)
        known = decode_log(encoded).request.headers

        assert isinstance(known, RequestHeaders)
        assert known.host == request.pop("host") == "caf\xe9"
        assert request.keys() | {"host"} == headers.keys() | {"host"}
        assert response.keys() == headers.keys()


def test_what_nothing_reads_is_passed_over() -> None:
    """Other plugins add fields of any shape."""
    assert decode_log(b'{"more":{"a":[1]},"started_at":5.0}').started_at == 5


@given(st.binary())
def test_any_bytes_give_a_record_or_a_wire_error(log: bytes) -> None:
    """Never another exception."""
    with contextlib.suppress(WireError):
        decode_log(log)


def test_an_outline_is_a_part_of_the_record() -> None:
    """Every field of it has the value that the whole record has, in all recorded requests."""
    logs = [path.read_bytes() for path in sorted(TRANSCRIPTS.rglob("*.serialize.json"))]
    outlines = [(outline, decode_log(log)) for log in logs if (outline := decode_outline(log)) is not None]

    assert len(outlines) > len(logs) / 2
    for outline, record in outlines:
        assert is_part(msgspec.to_builtins(outline), msgspec.to_builtins(record))


def is_part(part: object, whole: object) -> bool:
    """Tell whether each member of a document is in another one, likewise its elements."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and is_part(value, whole[name]) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list) and len(part) == len(whole):
        return all(map(is_part, part, whole))
    return part == whole


@pytest.mark.parametrize(
    "log", [b'{"source":5}', b'{"upstream_uri":"\xff"}', b'{"session":{"status":200}}', b"[]", b'{"request":[]}']
)
def test_a_record_without_an_outline_is_read_as_a_whole(log: bytes) -> None:
    """One with a wrong type in the outline, one whose text must be repaired, and one of a connection."""
    assert decode_outline(log) is None


def test_a_text_outside_of_the_outline_is_repaired_with_the_rest() -> None:
    """Bytes that are not UTF-8 hide no outline that does not read them."""
    log = b'{"client_ip":"\xff","skipped":"\xff","request":{"uri":"/a"}}'
    outline = decode_outline(log)

    assert outline is not None
    assert completed(outline, log, lambda _: None).client_ip == "\xff"


def test_a_request_that_is_known_is_not_refused_any_more() -> None:
    """It may be counted by then: of a record whose rest cannot be read, the outline stays."""
    wrong = b",".join(b'"%b":7' % name for name in (b"client_ip", b"workspace", b"workspace_name", b"consumer"))
    faulty = (
        b'{"request":{"uri":"/a","url":7,"id":7,"size":"","tls":7},"response":{"size":""},"source":"kong",%b}' % wrong
    )
    outline = decode_outline(faulty)
    assert outline is not None

    with pytest.raises(WireError, match="more than 8 fields"):
        decode_log(faulty)
    record = completed(outline, faulty, lambda _: None)
    assert (record.request.uri, record.request.url, record.source, record.client_ip) == ("/a", "", "kong", None)
