"""Promises of sidecar/assembly.py that no recorded request shows; tests/conformance has those."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from otlp_tracing.contract.settings import Settings
from otlp_tracing.contract.trace_context import RequestContext
from otlp_tracing.sidecar.assembly import assemble
from otlp_tracing.sidecar.log_record import LogRecord
from otlp_tracing.sidecar.redaction.query import QueryRedactor
from otlp_tracing.sidecar.span_record import SpanRecord

CONTEXT = RequestContext(b"\x01" * 16, b"\x02" * 8, b"\x03" * 8, b"\x04" * 8, 3, "ot=th:0")
QUERY = QueryRedactor(Settings.from_config({}).redaction)


def spans(**record: Any) -> list[SpanRecord]:
    basis: dict[str, Any] = {
        "request": {"method": "GET", "uri": "/a/b", "url": "http://gw:8000/a/b", "headers": {"host": "gw:8000"}},
        "response": {"status": 200},
        "started_at": 1_000,
        "latencies": {"request": 10},
    }
    for name, value in record.items():
        basis[name] = basis[name] | value if isinstance(basis.get(name), dict) else value
    return assemble(msgspec.convert(basis, LogRecord), CONTEXT, QUERY)


def test_the_ids_are_those_of_the_context() -> None:
    """The SERVER span hangs on the caller's, the last CLIENT span has the id that the upstream saw."""
    server, first, last = spans(tries=[{"state": "failed", "code": 502}, {}])

    assert (server.span_id, server.parent_span_id) == (b"\x02" * 8, b"\x04" * 8)
    assert (last.span_id, last.parent_span_id) == (b"\x03" * 8, b"\x02" * 8)
    assert len({server.span_id, first.span_id, last.span_id}) == 3
    assert {span.trace_id for span in (server, first, last)} == {b"\x01" * 16}
    assert {(span.flags, span.trace_state) for span in (server, first, last)} == {(3, "ot=th:0")}


def test_a_record_handed_over_twice_gives_the_same_spans() -> None:
    """A repetition after a lost connection can be told by its ids."""
    tries = [{"state": "failed", "code": 502}, {"state": "failed", "code": 502}, {}]

    assert spans(tries=tries) == spans(tries=tries)


@pytest.mark.parametrize(
    ("method", "name", "attributes"),
    [
        ("PATCH", "PATCH", {"http.request.method": "PATCH"}),
        ("BREW", "HTTP", {"http.request.method": "_OTHER", "http.request.method_original": "BREW"}),
        ("get", "HTTP", {"http.request.method": "_OTHER", "http.request.method_original": "get"}),
    ],
)
def test_an_unknown_method_keeps_the_name_bounded(method: str, name: str, attributes: dict[str, str]) -> None:
    """A client must not be able to make up span names."""
    server, client = spans(request={"method": method}, tries=[{}])

    assert server.name == client.name == name
    assert attributes.items() <= server.attributes.items()
    assert attributes.items() <= client.attributes.items()


@pytest.mark.parametrize(
    ("host", "scheme", "expected"),
    [
        ("shop.example", "http", ("shop.example", 80)),
        ("shop.example", "https", ("shop.example", 443)),
        ("shop.example:8443", "https", ("shop.example", 8443)),
        ("[2001:db8::1]:8000", "http", ("2001:db8::1", 8000)),
        ("x:notaport", "http", (None, None)),
        ("[broken", "http", (None, None)),
        ("", "http", ("gw", 8000)),
    ],
)
def test_the_server_is_what_the_client_asked_for(host: str, scheme: str, expected: tuple[str, int]) -> None:
    """Address and port come from the Host header; what is no host says nothing."""
    (server,) = spans(request={"url": f"{scheme}://gw:8000/a/b", "headers": {"host": host}})

    assert (server.attributes.get("server.address"), server.attributes.get("server.port")) == expected


@pytest.mark.parametrize(
    ("attempt", "status", "outcome"),
    [
        ({}, "200", {"http.response.status_code": 200}),
        ({}, "404", {"http.response.status_code": 404, "error.type": "404"}),
        ({}, "503", {"http.response.status_code": 503, "error.type": "503"}),
        ({}, "-", {}),
        ({}, "", {}),
        ({"state": "failed", "code": 502}, "502", {"error.type": "connection_error"}),
        ({"state": "failed", "code": 504}, "504", {"error.type": "timeout"}),
        ({"state": "failed", "code": 503}, "503", {"http.response.status_code": 503, "error.type": "503"}),
        ({"state": "next", "code": 404}, "404", {"http.response.status_code": 404, "error.type": "404"}),
    ],
)
def test_a_try_says_what_became_of_it(attempt: dict[str, Any], status: str, outcome: dict[str, Any]) -> None:
    """A status where the upstream gave one, a cause where it did not, ERROR with either."""
    _, client = spans(tries=[attempt], upstream_status=status)
    names = {"http.response.status_code", "error.type"}

    assert {name: value for name, value in client.attributes.items() if name in names} == outcome
    assert client.is_error == ("error.type" in outcome)


@pytest.mark.parametrize(("status", "is_error"), [(200, False), (404, False), (499, False), (500, True), (503, True)])
def test_a_server_span_fails_with_5xx_only(status: int, is_error: bool) -> None:
    """What the client did wrong is no error of the gateway's."""
    (server,) = spans(response={"status": status})

    assert server.is_error is is_error
    assert server.attributes.get("error.type") == (str(status) if is_error else None)


def test_children_stay_inside_their_parent() -> None:
    """Kong cuts milliseconds off: a try may seem to begin before its request, or after its end."""
    early = {"balancer_start_ns": 0.9e9}
    late = {"balancer_start_ns": 1.0105e9}
    server, first, last = spans(tries=[early, late])

    assert (server.start_unix_ns, server.end_unix_ns) == (1_000_000_000, 1_010_500_000)
    assert (first.start_unix_ns, first.end_unix_ns) == (1_000_000_000, 1_010_500_000)
    assert (last.start_unix_ns, last.end_unix_ns) == (1_010_500_000, 1_010_500_000)


@pytest.mark.parametrize(
    ("service", "uri", "url"),
    [
        ({"protocol": "http", "host": "users", "port": 8080}, "/a?b=1", "http://users:8080/a?b=1"),
        ({"protocol": "https", "host": "users", "port": 443}, "/a", "https://users/a"),
        ({"protocol": "grpcs", "host": "users", "port": 9090}, "/p.S/M", "https://users:9090/p.S/M"),
        ({"protocol": "http", "host": "2001:db8::1", "port": 80}, "/", "http://[2001:db8::1]/"),
        ({"protocol": "http", "host": "users", "port": 80}, "/?token=hunter2", "http://users/?token=REDACTED"),
    ],
)
def test_the_upstream_url_is_absolute(service: dict[str, Any], uri: str, url: str) -> None:
    """Scheme, service, port unless it is the scheme's, and what Kong asked for, secrets redacted."""
    _, client = spans(service=service, upstream_uri=uri, tries=[{}])

    assert client.attributes["url.full"] == url


def test_a_query_is_redacted() -> None:
    """The values of sensitive parameters never leave the sidecar."""
    (server,) = spans(request={"uri": "/a?q=shoes&api_key=hunter2"})

    assert server.attributes["url.path"] == "/a"
    assert server.attributes["url.query"] == "q=shoes&api_key=REDACTED"


@pytest.mark.parametrize(
    "record",
    [
        {"request": {"headers": []}, "tries": {}, "route": {"paths": {}}},
        {"request": {"headers": {"host": ["a", "b"], "user-agent": []}}, "route": None, "service": None},
        {"latencies": {"request": -1, "kong": None}, "started_at": None, "tries": [{"port": None, "ip": None}]},
        {"request": {"uri": "", "url": "", "method": ""}, "response": {"status": None}},
    ],
)
def test_a_record_with_gaps_gives_a_span(record: dict[str, Any]) -> None:
    """Lua's empty tables, nulls and missing fields are no reason to lose a request."""
    assert spans(**record)[0].kind == "server"
