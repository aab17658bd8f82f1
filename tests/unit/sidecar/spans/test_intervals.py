"""Promises of sidecar/spans/intervals.py, and of the spans with nginx's facts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nginx_records import VERSIONS, recorded
from otlp_tracing.sidecar.ingest.request_record import decode
from otlp_tracing.sidecar.spans.assemble import assemble
from otlp_tracing.sidecar.spans.model import SpanRecord
from semconv import faults
from spans_of import CONTEXT, rules_of, spans_of


def recorded_spans(version: str, name: str) -> list[SpanRecord]:
    spans = assemble(decode(json.dumps(recorded(version, name)).encode()), CONTEXT, rules_of())
    assert [fault for span in spans for fault in faults(span)] == []
    return spans


def with_facts(**facts: Any) -> list[SpanRecord]:
    """Make spans of a request from 1,000 to 2,000 ms, with a try at 1,200 ms."""
    return spans_of(
        latencies={"request": 1000},
        tries=[{"balancer_start_ns": 1_200_000_000}],
        otlp_tracing_nginx={"version": 1, **facts},
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_the_facts_of_a_real_kong_are_attributes(version: str) -> None:
    """Under the conventions' names where there are some, otherwise under nginx's and Kong's own."""
    server, client = recorded_spans(version, "client_certificate")

    assert server.attributes["network.protocol.version"] == "1.1"
    assert server.attributes["tls.client.subject"] == "CN=alice@example.com"
    assert server.attributes["tls.client.issuer"] == "CN=ca.test"
    assert len(str(server.attributes["tls.client.hash.sha1"])) == 40
    assert str(server.attributes["tls.client.hash.sha1"]).isupper()
    assert server.attributes["nginx.ssl_server_name"] == "api.kong.test"
    assert server.attributes["nginx.ssl_client_verify"] == "SUCCESS"
    for phase in ("rewrite", "access", "balancer", "header_filter", "body_filter"):
        assert isinstance(server.attributes[f"kong.latency.{phase}_ms"], int)
    for time in ("connect", "header", "response"):
        assert isinstance(client.attributes[f"nginx.upstream_{time}_time"], float)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_grpc_error_in_the_trailers_is_an_error_under_http_200(version: str) -> None:
    """The server's fault is one of both spans, the client's of the CLIENT span alone."""
    server, client = recorded_spans(version, "grpc_unavailable")
    other_server, other_client = recorded_spans(version, "grpc_resource_exhausted")

    assert [span.attributes["http.response.status_code"] for span in (server, client)] == [200, 200]
    assert [span.attributes["rpc.response.status_code"] for span in (server, client)] == ["UNAVAILABLE"] * 2
    assert [span.attributes.get("error.type") for span in (server, client)] == ["UNAVAILABLE"] * 2
    assert (server.is_error, client.is_error) == (True, True)
    assert (other_server.is_error, other_client.attributes["error.type"]) == (False, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_long_phases_of_a_real_kong_are_spans(version: str) -> None:
    """`access` waited for a plugin, and `body_filter` worked; each span is inside the SERVER span, where it was."""
    server, before, client, access, body = recorded_spans(version, "long_phases")

    assert (before.name, access.name, body.name) == ("kong.before_upstream", "kong.access", "kong.body_filter")
    assert {access.parent_span_id, body.parent_span_id} == {server.span_id}
    assert {access.kind, body.kind} == {"internal"}
    assert server.start_unix_ns <= access.start_unix_ns < access.end_unix_ns <= client.start_unix_ns + 1_000_000
    assert client.start_unix_ns < body.start_unix_ns < body.end_unix_ns <= server.end_unix_ns
    assert len({span.span_id for span in (server, before, client, access, body)}) == 5


@pytest.mark.parametrize("version", VERSIONS)
def test_a_short_phase_is_no_span(version: str) -> None:
    """A usual request has the spans that it has without the facts."""
    assert [span.kind for span in recorded_spans(version, "plain")] == ["server", "client"]
    assert [span.kind for span in recorded_spans(version, "unrouted")] == ["server"]


@pytest.mark.parametrize(("seconds", "names"), [("0.099", []), ("0.100", ["nginx.upstream_connect"])])
def test_a_long_connection_is_a_span_of_its_try(seconds: str, names: list[str]) -> None:
    """From 100 ms on: the handshakes of TCP and TLS are part of the try, and not the upstream's work."""
    _, _, client, *rest = with_facts(connect=seconds)

    assert [span.name for span in rest] == names
    assert [(span.parent_span_id, span.start_unix_ns, span.end_unix_ns) for span in rest] == [
        (client.span_id, 1_200_000_000, 1_300_000_000) for _ in names
    ]


@pytest.mark.parametrize(("start", "duration"), [(0, 5000), (1900, 100_000), (1_000_000, 5000)])
def test_a_span_of_a_phase_never_leaves_its_request(start: int, duration: int) -> None:
    """Whatever times the record gives."""
    server, *rest = with_facts(access_start=start, access_time=duration, connect="900000")

    assert all(server.start_unix_ns <= span.start_unix_ns <= span.end_unix_ns <= server.end_unix_ns for span in rest)


def test_facts_of_the_wrong_type_give_the_spans_without_them() -> None:
    """Nothing of a snippet that was edited badly reaches a span."""
    fields: dict[str, Any] = {"tries": [{}], "latencies": {"request": 1000}}

    assert spans_of(otlp_tracing_nginx="oops", **fields) == spans_of(**fields)
    assert spans_of(otlp_tracing_nginx={"connect": 5, "access_time": "x", "server_name": {}}, **fields) == spans_of(
        **fields
    )
