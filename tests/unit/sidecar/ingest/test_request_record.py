"""Promises of sidecar/ingest/request_record.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from checkout import TRANSCRIPTS
from otlp_tracing.sidecar.ingest.log_record import decode_log
from otlp_tracing.sidecar.ingest.request_record import RequestRecord, decode, first_line, lines
from spans_of import GRPC, record_of

FAILED = {"tries": [{"state": "failed", "code": 502}], "upstream_status": "502"}


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, ("", "")),
        ({"service": {"id": "s1", "name": "users"}, "route": {"id": "r1"}}, ("users", "r1")),
        ({"service": {"id": "s1"}, "route": {"id": "r1", "name": "list"}}, ("s1", "list")),
        ({"service": {}, "route": {"name": ""}}, ("", "")),
    ],
)
def test_service_and_route_have_names(fields: dict[str, Any], names: tuple[str, str]) -> None:
    """The name that a person gave, otherwise Kong's id."""
    record = decode(msgspec.json.encode(fields))

    assert (record.service, record.route) == names


def test_lua_has_one_kind_of_table() -> None:
    """An empty table may come as a list or as an object; headers are dictionaries and tries a list all the same."""
    record = decode(b'{"request":{"uri":"/a?b=1","headers":[]},"response":{"headers":[]},"tries":{}}')

    assert (record.request_headers, record.response_headers, record.tries) == ({}, {}, [])
    assert (record.path, record.query, record.status) == ("/a", "b=1", 0)


def test_a_buffered_response_has_its_status() -> None:
    """Kong writes it as a number (kong/pdk/log.lua, ctx.buffered_status); the trace of the request is there."""
    record = decode(b'{"tries":[{}],"upstream_status":200,"source":"upstream"}')

    assert record.statuses == [200]


@pytest.mark.parametrize("source", [{}, {"source": "kong"}])
def test_a_grpc_call_that_nginx_answered_is_a_post(source: dict[str, Any]) -> None:
    """The record has the GET for nginx's error page; `access` noted that the client made a call."""
    request = {"request": {**GRPC["request"], "method": "GET"}, "otlp_tracing": {"grpc": True}}
    record = decode(msgspec.json.encode({**GRPC, **FAILED, **request, "source": None, **source}))

    assert (record.source, record.method, record.sent_method) == ("kong", "POST", "POST")
    assert record.received_call == record.sent_call == "/shop.Cart/Add"


@pytest.mark.parametrize(("notes", "method"), [({}, "GET"), ({"body": True}, "POST"), ({"method": "PATCH"}, "PATCH")])
def test_a_translated_request_keeps_its_method(notes: dict[str, Any], method: str) -> None:
    """A plugin like grpc-gateway sends a POST; the client's method is noted, or follows from its body."""
    uri = {"request": {**GRPC["request"], "uri": "/hello/ann"}, "upstream_uri": "/hello/ann"}
    record = decode(msgspec.json.encode({**GRPC, **uri, "otlp_tracing": notes}))

    assert (record.method, record.sent_method) == (method, "POST")
    assert record.received_call is record.sent_call is None


def test_an_error_page_has_the_method_of_the_request() -> None:
    """Over HTTP/2 nginx answers as a GET; the tries were made with the client's method."""
    fields = {"request": {"method": "GET"}, **FAILED, "source": "kong", "otlp_tracing": {"method": "PUT"}}
    record = decode(msgspec.json.encode(fields))

    assert (record.method, record.sent_method) == ("PUT", "PUT")


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        ({"otlp_tracing": {"method": "DELETE"}}, "DELETE"),
        ({"otlp_tracing": {"method": "DELETE"}, "request": {"method": "GET"}}, "DELETE"),
        ({"otlp_tracing": {"method": "no method"}, "request": {"method": "GET"}}, "GET"),
        ({"otlp_tracing": {"method": ["PUT"]}, "request": {"method": "GET"}}, "GET"),
        ({"otlp_tracing": "method", "request": {"method": "GET"}}, "GET"),
        ({"otlp_tracing": {}, "request": {"method": "PATCH"}}, "PATCH"),
    ],
)
def test_a_noted_method_is_the_requests(fields: dict[str, Any], method: str) -> None:
    """`access` knew it where Kong's record says GET; anything else in its place is ignored."""
    assert decode(msgspec.json.encode(fields)).method == method


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        ({"response": {"status": 413}, "source": "kong"}, ""),
        ({"response": {"status": 413}}, ""),
        ({"response": {"status": 413}, "source": "kong", "route": {"id": "r1"}, "tries": []}, "GET"),
        ({"response": {"status": 413}, "source": "upstream", "tries": [{}], "upstream_status": "413"}, "GET"),
        ({"response": {"status": 400}, "source": "kong"}, "GET"),
    ],
)
def test_a_get_with_a_body_too_large_has_no_method(fields: dict[str, Any], method: str) -> None:
    """A body that nginx refused before any phase: over HTTP/2 the record of every method says GET."""
    assert decode(msgspec.json.encode({"request": {"method": "GET"}, **fields})).method == method


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        ({"host": "a.example", "x-other": "1"}, "a.example"),
        ({"host": ["a.example", "b.example"]}, "a.example"),
        ({"host": 5}, None),
        ([], None),
    ],
)
def test_the_shown_headers_are_read_as_all_are(headers: Any, host: str | None) -> None:
    """A header that came twice has its first line; a value that is no text, and Lua's empty table, give none."""
    record = record_of(request={"headers": headers})

    assert record.host == host
    assert record.host == first_line(record.request_headers, "host")
    assert record.user_agent is None


def test_headers_are_read_by_line() -> None:
    """One line or several; anything else is no line."""
    headers = {"one": "a", "two": ["b", "c"], "none": [], "odd": [1, "d"]}

    assert [first_line(headers, name) for name in ("one", "two", "none", "odd", "missing")] == [
        "a",
        "b",
        None,
        None,
        None,
    ]
    assert [lines(headers, name) for name in ("one", "two", "none", "odd", "missing")] == [
        ["a"],
        ["b", "c"],
        [],
        ["d"],
        [],
    ]


@pytest.mark.parametrize(
    ("fields", "source", "status"),
    [
        ({"source": "cache"}, "upstream", 200),
        ({"source": "x" * 99, "tries": []}, "kong", 200),
        ({"response": {"status": 1 << 40}}, "upstream", 0),
        ({"response": {"status": -7}}, "upstream", 0),
        ({"response": {"status": 999}}, "upstream", 999),
    ],
)
def test_a_source_and_a_status_are_bounded(fields: dict[str, Any], source: str, status: int) -> None:
    """Each value of another plugin would be a series of the metrics, here and on /metrics."""
    record = record_of(**{"tries": [{}], "upstream_status": "200", "source": "upstream", **fields})

    assert (record.source, record.status) == (source, status)


FIELDS = (
    "duration_ms", "error_type", "forwarded", "grpc_status", "has_failed_try", "host", "log", "method", "path", "query",
    "received_call", "request_headers", "response_headers", "route", "sent_call", "sent_method", "service", "source",
    "status", "statuses", "tries", "user_agent",
)  # fmt: skip


@pytest.mark.parametrize("path", sorted(TRANSCRIPTS.rglob("*.serialize.json")), ids=lambda path: path.name)
def test_a_request_that_is_not_sampled_has_the_same_facts(path: Path) -> None:
    """Reading the outline first, and the rest when it is asked for, changes none of them."""
    log = path.read_bytes().rstrip()[:-1] + b',"otlp_tracing":{"sampled":false}}'
    whole = RequestRecord(decode_log(log), log)

    assert [getattr(decode(log), name) for name in FIELDS] == [getattr(whole, name) for name in FIELDS]


def test_the_rest_of_a_record_is_read_when_it_is_asked_for() -> None:
    """A request that is not sampled is counted by its outline; a wrong field elsewhere is named later."""
    ignored: list[str] = []
    record = decode(
        b'{"request":{"uri":"/a"},"response":{"status":503},"client_ip":7,"otlp_tracing":{"sampled":false}}',
        ignored.append,
    )

    assert (record.path, record.status, record.error_type, ignored) == ("/a", 503, "503", [])
    assert (record.log.client_ip, record.log.client_ip, ignored) == (None, None, ["client_ip"])


def test_a_request_that_is_sampled_is_read_as_a_whole() -> None:
    """It is most likely kept: its record is read once."""
    ignored: list[str] = []
    decode(b'{"request":{"uri":"/a"},"client_ip":7,"otlp_tracing":{"sampled":true}}', ignored.append)

    assert ignored == ["client_ip"]


def test_a_record_is_read_as_a_whole_for_an_entry_that_needs_it() -> None:
    """The outline is not read first, whatever the decision was."""
    ignored: list[str] = []
    decode(b'{"request":{"uri":"/a"},"client_ip":7,"otlp_tracing":{"sampled":false}}', ignored.append, whole=True)

    assert ignored == ["client_ip"]
