"""Promises of sidecar/spans/connection.py, on the records of two real Kongs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from checkout import CHECKOUT
from otlp_tracing.sidecar.ingest.request_record import decode
from otlp_tracing.sidecar.spans.assemble import assemble, request_attributes
from otlp_tracing.sidecar.spans.model import SpanRecord
from semconv import faults
from spans_of import CONTEXT, rules_of

_VERSIONS = ["3.4", "3.9"]


def _records(version: str) -> dict[str, dict[str, Any]]:
    """Return a Kong's records; the last one of each route."""
    lines = (CHECKOUT / f"tests/testdata/connections/kong-{version}.jsonl").read_text().splitlines()
    return {record["route"]["name"]: record for record in map(json.loads, lines)}


def _span(record: dict[str, Any]) -> SpanRecord:
    decoded = decode(json.dumps(record).encode())
    (span,) = assemble(decoded, CONTEXT, rules_of())
    assert (span.attributes, None) == request_attributes(decoded, CONTEXT, rules_of())
    assert faults(span) == []
    return span


@pytest.mark.parametrize("version", _VERSIONS)
def test_a_connection_is_one_server_span(version: str) -> None:
    """It has the route's name, the time of the session, and the bytes in both directions."""
    record = _records(version)["tcp-r"]
    span = _span(record)

    assert (span.name, span.kind, span.is_error) == ("TCP tcp-r", "server", False)
    assert span.start_unix_ns == record["started_at"] * 10**6
    assert span.end_unix_ns - span.start_unix_ns == record["latencies"]["session"] * 10**6
    assert {
        "network.transport": "tcp",
        "network.type": "ipv4",
        "client.address": "127.0.0.1",
        "server.port": record["session"]["server_port"],
        "kong.connection.status": 200,
        "kong.connection.received_bytes": 5,
        "kong.connection.sent_bytes": 5,
        "kong.upstream.port": record["tries"][0]["port"],
        "kong.upstream.tries": 1,
        "kong.service.name": "db",
        "kong.route.name": "tcp-r",
    }.items() <= span.attributes.items()
    assert "error.type" not in span.attributes


@pytest.mark.parametrize("version", _VERSIONS)
def test_a_refused_upstream_is_an_error(version: str) -> None:
    """The client gets a reset: the span says so in the word of a try without an answer."""
    span = _span(_records(version)["closed-r"])

    assert span.is_error
    assert {
        "error.type": "connection_error",
        "kong.connection.status": 502,
        "kong.connection.received_bytes": 0,
        "kong.upstream.tries": 6,
    }.items() <= span.attributes.items()


@pytest.mark.parametrize("version", _VERSIONS)
def test_a_second_try_that_works_is_no_error(version: str) -> None:
    """The upstream is that of the last try."""
    record = _records(version)["retried-r"]
    span = _span(record)

    assert not span.is_error
    assert span.attributes["kong.upstream.tries"] == 2
    assert span.attributes["kong.upstream.port"] == record["tries"][1]["port"]


@pytest.mark.parametrize("version", _VERSIONS)
def test_tls_is_named_as_such(version: str) -> None:
    """Version and cipher are known only if Kong ends TLS; the port of a TLS listener never is."""
    ended, passed = _span(_records(version)["tls-r"]), _span(_records(version)["pass-r"])

    assert (ended.name, passed.name) == ("TLS tls-r", "TLS pass-r")
    assert ended.attributes["tls.protocol.version"] == "1.3"
    assert not any(name.startswith("tls.") for name in passed.attributes)
    assert "server.port" not in ended.attributes.keys() | passed.attributes.keys()
    assert passed.attributes["kong.connection.sent_bytes"] == 1876


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "TCP"),
        ({"route": {"id": "7", "protocols": ["tcp", "tls"]}}, "TCP 7"),
        ({"route": {"name": "dns", "protocols": ["udp"]}}, "UDP dns"),
        ({"service": {"protocol": "udp"}}, "UDP"),
        ({"route": {"name": "r", "protocols": {}}}, "TCP r"),
        ({"route": {"name": "r", "protocols": ["tls"]}}, "TLS r"),
        ({"route": {"name": "r", "protocols": ["tls"]}, "session": {"server_port": 5432}}, "TCP r"),
    ],
)
def test_the_name_has_few_values(fields: dict[str, Any], name: str) -> None:
    """Protocol and route, whatever the record lacks."""
    span = _span({"session": {}, **fields})

    assert span.name == name
    assert span.attributes["network.transport"] == ("udp" if name.startswith("UDP") else "tcp")


@pytest.mark.parametrize("value", ["", "-", "0, 5", "\u0661", "9" * 30, -1, 1e300])
def test_a_number_that_is_none_is_left_out(value: object) -> None:
    """A record may say anything; the rest of the span is there."""
    span = _span({"session": {"received": value, "sent": 7, "server_port": value}, "latencies": {"session": -1}})

    assert span.attributes["kong.connection.sent_bytes"] == 7
    assert not {"kong.connection.received_bytes", "server.port"} & span.attributes.keys()
    assert span.end_unix_ns == span.start_unix_ns


def test_a_connection_has_own_attributes() -> None:
    """Literals and tags; it has no header, no query and no path."""
    own = [
        {"name": "app.ring", "source": "literal", "value": "blue"},
        {"name": "app.team", "source": "service_tag", "key": "team"},
        {"name": "app.tenant", "source": "request_header", "key": "x-tenant"},
        {"name": "app.page", "source": "query_parameter", "key": "page"},
        {"name": "app.user", "source": "path_capture", "key": "id"},
    ]
    record = _records("3.9")["tcp-r"]
    record["service"]["tags"] = ["team:storage"]
    (span,) = assemble(decode(json.dumps(record).encode()), CONTEXT, rules_of(span={"attributes": own}))

    found = {name: value for name, value in span.attributes.items() if name.startswith("app.")}
    assert found == {"app.ring": "blue", "app.team": "storage"}
