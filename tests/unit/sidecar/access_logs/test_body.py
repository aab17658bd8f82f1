"""Promises of sidecar/access_logs/body.py."""

from __future__ import annotations

import json

import pytest

from nginx_records import recorded
from otlp_tracing.config.settings import SpanAttribute
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.access_logs.body import Body
from otlp_tracing.sidecar.ingest.request_record import decode
from otlp_tracing.sidecar.spans.assemble import request_attributes
from otlp_tracing.sidecar.spans.model import Attributes
from spans_of import CONTEXT, rules_of


def test_names_in_braces_are_values() -> None:
    """Texts, numbers and lists; an attribute that a request does not have is a dash, as in nginx's logs."""
    body = Body("{http.request.method} {url.path} {http.response.status_code} [{error.type}] {http.request.header.a}")

    assert body.text({
        "http.request.method": "GET",
        "url.path": "/a{b}",
        "http.response.status_code": 200,
        "http.request.header.a": ["x", "y"],
    }) == "GET /a{b} 200 [-] x, y"  # fmt: skip


def test_own_attributes_can_be_named() -> None:
    """Those of the entry."""
    own = SpanAttribute("app.tenant", "literal", value="acme")

    assert Body("{app.tenant}", [own]).text({"app.tenant": "acme"}) == "acme"


def test_every_attribute_of_a_log_record_can_be_named() -> None:
    """Those of requests with nginx's facts, of gRPC calls, and of connections, over TLS and in plain text."""
    connection = {
        "session": {"status": 502, "received": 1, "sent": 1, "server_port": 1, "tls": {"version": "TLSv1.3"}},
        "tries": [{"ip": "10.0.0.1", "port": 1}],
        "client_ip": "10.0.0.9",
        "latencies": {"session": 1, "kong": 1},
    }
    names = ("plain", "long_phases", "grpc_resource_exhausted", "client_certificate")
    for record in (decode(json.dumps(one).encode()) for one in (connection, *(recorded("3.9", one) for one in names))):
        for name in request_attributes(record, CONTEXT, rules_of())[0]:
            assert Body(f"{{{name}}}").text({name: "x"}) == "x"


@pytest.mark.parametrize("template", ["{url.path", "a {url.path b", "{a{url.path}b}", "{url.path {http.route}"])
def test_a_brace_that_is_not_closed_is_said(template: str) -> None:
    """It would be sent as text, with each record."""
    with pytest.raises(ConfigError, match=r"logs\.body = \{[a-z.]+: has no closing brace"):
        Body(template)


def test_a_text_can_be_json() -> None:
    """Braces around a quotation mark are text."""
    body = Body('{"method": "{http.request.method}", "a": {"path": "{url.path}"}}')

    assert body.text({"http.request.method": "GET", "url.path": "/"}) == '{"method": "GET", "a": {"path": "/"}}'


NASTY = ['a"b', "a\\", "a\nb", "a\x00\u2028b", '","x":"', "{url.path}", "é\U0001f600", ""]


@pytest.mark.parametrize("value", NASTY)
def test_json_stays_json(value: str) -> None:
    """Whatever a client puts into a value, between quotation marks or outside of them."""
    body = Body(
        '{"kind": {"of": "access"}, "line": "{http.request.method} {url.path}", "path": {url.path}, '
        '"a": ["{url.query}"], "status": {http.response.status_code}, "list": {http.request.header.a}, '
        '"none": {error.type}, "\\"": "{http.route}"}'
    )
    attributes: Attributes = {
        "http.request.method": "GET", "url.path": value, "url.query": value, "http.response.status_code": 200,
        "http.request.header.a": [value, "y"], "http.route": value,
    }  # fmt: skip

    assert json.loads(body.text(attributes)) == {
        "kind": {"of": "access"}, "line": f"GET {value}", "path": value, "a": [value], "status": 200,
        "list": [value, "y"], "none": None, '"': value,
    }  # fmt: skip


def test_a_value_between_quotation_marks_cannot_leave_them() -> None:
    """Also in a line of logfmt or an access log, which are no JSON; a value outside of them is as it is."""
    body = Body('path="{url.path}" agent="\\"{user_agent.original}\\"" {http.route}')

    assert body.text({"url.path": '/" status="500', "user_agent.original": "a\nb", "http.route": '"'}) == (
        'path="/\\" status=\\"500" agent="\\"a\\nb\\"" "'
    )


def test_long_json_stays_json() -> None:
    """Its values are cut, not its text."""
    body = Body('[{"path": "{url.path}"}, {url.query}, {http.request.header.a}]')

    found = body.text({"url.path": "\x01" * 9000, "url.query": '"' * 9000, "http.request.header.a": ["\\" * 9000] * 3})

    assert len(found) <= 16 << 10
    assert len(json.loads(found)[2]) == 3


@pytest.mark.parametrize("template", [None, ""])
def test_there_may_be_no_text(template: str | None) -> None:
    """The attributes say everything."""
    assert Body(template).text({"url.path": "/"}) == ""


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{http.method}", "http.route"),
        ("a {url.pth} b", r"\{url.pth\}: no log record has this attribute; did you mean url.path"),
        ("{}", "no log record has this attribute; write names of attributes in the braces"),
    ],
)
def test_an_unknown_name_is_said(template: str, message: str) -> None:
    """With the field, the name, and the name that was probably meant."""
    with pytest.raises(ConfigError, match=rf"logs\.body.*({message}|no log record)"):
        Body(template)


def test_a_text_is_bounded() -> None:
    """A template that names a long attribute a thousand times: a record above OTLP's bound would be lost."""
    assert len(Body("{url.path}" * 1000).text({"url.path": "/" * 4096})) == 16 << 10
    assert len(Body("x" * 100_000).text({})) == 16 << 10
