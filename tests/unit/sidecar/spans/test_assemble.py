"""Promises of sidecar/spans/assemble.py that no recorded request shows; tests/conformance has those."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.context import SpanContext
from otlp_tracing.sidecar.ingest.request_record import decode
from otlp_tracing.sidecar.spans.assemble import assemble
from spans_of import CONTEXT, GRPC, rules_of, spans_of


def test_the_ids_are_those_of_the_context() -> None:
    """The SERVER span hangs on the caller's, the last CLIENT span has the id that the upstream saw."""
    server, first, last = spans_of(tries=[{"state": "failed", "code": 502}, {}])

    assert (server.span_id, server.parent_span_id) == (b"\x02" * 8, b"\x04" * 8)
    assert (last.span_id, last.parent_span_id) == (b"\x03" * 8, b"\x02" * 8)
    assert len({server.span_id, first.span_id, last.span_id}) == 3
    assert {span.trace_id for span in (server, first, last)} == {b"\x01" * 16}
    assert {(span.flags, span.trace_state) for span in (server, first, last)} == {(3, "ot=th:0")}


def test_a_record_handed_over_twice_gives_the_same_spans() -> None:
    """A repetition after a lost connection can be told by its ids."""
    tries = [{"state": "failed", "code": 502}, {"state": "failed", "code": 502}, {}]

    assert spans_of(tries=tries) == spans_of(tries=tries)


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
    server, client = spans_of(request={"method": method}, tries=[{}])

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
        ("gw/path", "http", (None, None)),
        ("gw?a", "http", (None, None)),
        ("", "http", ("gw", 8000)),
    ],
)
def test_the_server_is_what_the_client_asked_for(host: str, scheme: str, expected: tuple[str, int]) -> None:
    """Address and port come from the Host header; a value that is not a host gives neither."""
    (server,) = spans_of(request={"url": f"{scheme}://gw:8000/a/b", "headers": {"host": host}})

    assert (server.attributes.get("server.address"), server.attributes.get("server.port")) == expected


@pytest.mark.parametrize(("host", "address"), [("kong", None), ("kong.example", "kong.example"), ("gw", "gw")])
def test_the_name_of_kongs_nginx_is_no_address(host: str, address: str | None) -> None:
    """A request without a host is logged with the URL `http://kong:8000/`; one with a whole URL has the host there."""
    (server,) = spans_of(request={"url": f"http://{host}:8000/a", "headers": {}})

    assert (server.attributes.get("server.address"), server.attributes["server.port"]) == (address, 8000)


@pytest.mark.parametrize(("status", "is_error"), [(200, False), (404, False), (499, False), (500, True), (503, True)])
def test_a_server_span_fails_with_5xx_only(status: int, is_error: bool) -> None:
    """An error of the client is not an error of the gateway."""
    (server,) = spans_of(response={"status": status})

    assert server.is_error is is_error
    assert server.attributes.get("error.type") == (str(status) if is_error else None)


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
    assert spans_of(**record)[0].kind == "server"


def test_a_trace_started_anew_links_to_the_callers() -> None:
    """The SERVER span carries the link, the others hang on it anyway."""
    link = SpanContext(b"\x05" * 16, b"\x06" * 8, 1, "v=1")
    server, client = spans_of(dataclasses.replace(CONTEXT, parent_span_id=None, link=link), tries=[{}])

    assert (server.links, client.links) == ((link,), ())


def test_captured_baggage_is_on_the_server_span() -> None:
    """Under its name."""
    context = dataclasses.replace(CONTEXT, baggage=(("tenant", "blue"),))
    server, client = spans_of(context, tries=[{}])

    assert server.attributes["baggage.tenant"] == "blue"
    assert not [name for name in client.attributes if name.startswith("baggage.")]


def test_captured_headers_are_on_the_server_span() -> None:
    """Those that were asked for, as lists."""
    rules = rules_of(capture={"request_headers": ["X-Tenant", "absent"], "response_headers": ["location"]})
    (server,) = spans_of(
        rules=rules,
        request={"headers": {"x-tenant": ["a", "b"], "x-other": "o"}},
        response={"headers": {"location": "/next?page=2", "x-other": "o"}},
    )

    assert {name: value for name, value in server.attributes.items() if ".header." in name} == {
        "http.request.header.x-tenant": ["a", "b"],
        "http.response.header.location": ["/next?page=2"],
    }


def test_dup_writes_the_former_names_as_well() -> None:
    """Beside the current ones, with the same values, on both kinds of span."""
    fields: dict[str, Any] = {
        "request": {"uri": "/a?b=1", "headers": {"host": "gw", "user-agent": "curl"}},
        "client_ip": "10.0.0.1",
        "upstream_status": "200",
        "tries": [{"ip": "10.0.0.2", "port": 8080}],
    }
    current = spans_of(**fields)
    both = spans_of(rules=rules_of(span={"semconv": "dup"}), **fields)

    former = [
        {name: value for name, value in dup.attributes.items() if name not in stable.attributes}
        for dup, stable in zip(both, current, strict=True)
    ]
    assert former == [
        {
            "http.method": "GET", "http.status_code": 200, "http.scheme": "http", "http.target": "/a?b=1",
            "http.client_ip": "10.0.0.1", "http.user_agent": "curl", "net.host.name": "gw", "net.host.port": 80,
        },
        {
            "http.method": "GET", "http.status_code": 200, "http.url": "http://users:8080/",
            "net.peer.name": "users", "net.peer.port": 8080, "net.peer.ip": "10.0.0.2",
        },
    ]  # fmt: skip
    assert all(stable.attributes.items() <= dup.attributes.items() for dup, stable in zip(both, current, strict=True))


def test_a_long_time_before_the_upstream_is_a_span_of_its_own() -> None:
    """From a tenth of a second on, between the SERVER span's start and the first try's."""
    server, before, client = spans_of(
        tries=[{"balancer_start_ns": 1_100_000_000}], latencies={"request": 200}, route={"name": "r"}
    )

    assert (before.name, before.kind, before.parent_span_id) == ("kong.before_upstream", "internal", server.span_id)
    assert (before.start_unix_ns, before.end_unix_ns) == (server.start_unix_ns, client.start_unix_ns)
    assert before.attributes == {"kong.route.name": "r"}
    assert len({server.span_id, before.span_id, client.span_id}) == 3
    assert len(spans_of(tries=[{"balancer_start_ns": 1_099_999_999}], latencies={"request": 200})) == 2


def test_too_many_routes_leave_the_method_alone() -> None:
    """Past the bound on names there is no http.route, in the name or beside it."""
    rules = rules_of()
    for number in range(500):
        assert spans_of(rules=rules, route={"paths": [f"/{number}"]})[0].name == f"GET /{number}"
    (server,) = spans_of(rules=rules, route={"paths": ["/500"]})

    assert server.name == "GET"
    assert "http.route" not in server.attributes
    assert spans_of(rules=rules, route={"paths": ["/7"]})[0].name == "GET /7"


@pytest.mark.parametrize(
    ("status", "server_error", "client_error"),
    [
        ("0", None, None),
        ("5", None, "NOT_FOUND"),
        ("14", "UNAVAILABLE", "UNAVAILABLE"),
        ("99", "UNKNOWN", "UNKNOWN"),
        ("nonsense", None, None),
    ],
)
def test_a_grpc_status_is_an_error_by_the_list_of_its_side(
    status: str, server_error: str | None, client_error: str | None
) -> None:
    """Whatever HTTP says: it says 200."""
    server, client = spans_of(**GRPC, response={"headers": {"grpc-status": status}})

    assert server.attributes.get("error.type") == server_error
    assert client.attributes.get("error.type") == client_error


def test_a_websocket_is_http_1_1() -> None:
    """Only there can a connection be switched."""
    spans = spans_of(response={"status": 101}, upstream_status="101", tries=[{}])

    assert [span.attributes["network.protocol.version"] for span in spans] == ["1.1", "1.1"]


_NUMBERS = st.none() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(max_size=20)
_HEADERS = st.dictionaries(
    st.sampled_from(["host", "content-type", "grpc-status", "server"]), _TEXTS | st.lists(_TEXTS)
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "request": st.fixed_dictionaries({"method": _TEXTS, "uri": _TEXTS, "url": _TEXTS, "headers": _HEADERS}),
            "response": st.fixed_dictionaries({"status": _NUMBERS, "headers": _HEADERS, "size": _NUMBERS}),
            "latencies": st.fixed_dictionaries(dict.fromkeys(("request", "kong", "proxy", "receive"), _NUMBERS)),
            "service": st.fixed_dictionaries({"protocol": _TEXTS, "host": _TEXTS, "port": _NUMBERS}),
            "route": st.fixed_dictionaries({"paths": st.lists(_TEXTS | _TEXTS.map("~{}".format), max_size=3)}),
            "tries": st.lists(st.fixed_dictionaries({"port": _NUMBERS, "code": _NUMBERS}), max_size=3),
            "upstream_status": _TEXTS | st.just("502, 200"),
            "upstream_uri": _TEXTS,
            "started_at": _NUMBERS,
        },
    )
)
def test_any_record_gives_spans(fields: dict[str, Any]) -> None:
    """Never an exception: any log plugin can write into the record."""
    record = decode(json.dumps(fields).encode())

    assert assemble(record, CONTEXT, rules_of(span={"semconv": "dup"}))[0].kind == "server"
