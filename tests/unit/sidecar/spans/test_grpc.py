"""Promises of sidecar/spans/grpc.py."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.sidecar.ingest.request_record import RequestRecord
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.grpc import Call, grpc_call
from spans_of import GRPC, record_of, rules_of, spans_of


def received(names: CardinalityLimit | None = None, **fields: Any) -> Call | None:
    record = grpc(**fields)
    path = record.received_call
    return None if path is None else grpc_call(record, path, names or CardinalityLimit())


def grpc(**fields: Any) -> RequestRecord:
    parts = {name: GRPC[name] | fields.pop(name, {}) for name in ("request", "service")}
    return record_of(**{**GRPC, **parts, **fields})


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto", "application/grpc;x=1"])
def test_a_call_is_known_by_its_content_type(content_type: str) -> None:
    """Whatever is encoded in it."""
    assert received(request={"headers": {"content-type": content_type}}) == Call("shop.Cart/Add", None, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"request": {"headers": {}}},
        {"request": {"headers": {"content-type": "application/grpc-web"}}},
        {"request": {"headers": {"content-type": "application/grpcish"}}},
        {"request": {"method": "GET"}},
        {"request": {"uri": "/shop.Cart"}, "upstream_uri": "/shop.Cart"},
        {"request": {"uri": "/v1/cart"}},  # grpc-gateway: the call is made by Kong
    ],
)
def test_what_is_no_call_has_no_rpc_attributes(fields: dict[str, Any]) -> None:
    """The request of the client's stays an HTTP request."""
    assert received(**fields) is None


def test_a_translated_request_is_a_call_on_the_upstreams_side() -> None:
    """HTTP from the client, gRPC to the upstream: each span describes its own side."""
    fields = {**GRPC, "request": {"method": "GET", "uri": "/v1/cart", "headers": {"content-type": "application/grpc"}}}
    server, client = spans_of(**fields)

    assert (server.name, "rpc.method" in server.attributes) == ("GET", False)
    assert (client.name, client.attributes["rpc.method"]) == ("shop.Cart/Add", "shop.Cart/Add")


@pytest.mark.parametrize(
    "fields",
    [
        {"response": {"headers": {"grpc-status": "12"}}},
        {"response": {"status": 401}, "tries": [], "source": "kong"},
    ],
)
def test_a_method_that_nobody_vouches_for_is_no_name(fields: dict[str, Any]) -> None:
    """A client must not make span names up; the method that it asked for is kept beside."""
    names = CardinalityLimit()
    call = received(names, **fields)

    assert call is not None
    assert (call.method, call.original, call.span_name) == ("_OTHER", "shop.Cart/Add", "grpc")
    received(names)
    assert received(names, **fields) == Call("shop.Cart/Add", None, call.status)


def test_methods_past_the_bound_are_other() -> None:
    """However many a client asks for."""
    names = CardinalityLimit(max_names_per_owner=1)
    received(names)
    record = grpc(upstream_uri="/shop.Cart/Remove")
    assert record.sent_call is not None
    call = grpc_call(record, record.sent_call, names)

    assert (call.method, call.original) == ("_OTHER", "shop.Cart/Remove")


def test_dup_has_service_and_number() -> None:
    """The former names: the service apart, the status as a number; rpc.method keeps its current meaning."""
    rules = rules_of(span={"semconv": "dup"})
    server, client = spans_of(rules=rules, **GRPC, response={"headers": {"grpc-status": "14"}})

    for span in (server, client):
        rpc = {name: value for name, value in span.attributes.items() if name.startswith("rpc.")}
        assert rpc == {
            "rpc.system": "grpc", "rpc.service": "shop.Cart", "rpc.grpc.status_code": 14,
            "rpc.system.name": "grpc", "rpc.method": "shop.Cart/Add", "rpc.response.status_code": "UNAVAILABLE",
        }  # fmt: skip
        assert span.attributes["http.flavor"] == "2.0"


def test_a_status_of_kongs_is_not_the_upstreams() -> None:
    """Kong gives its own answers a grpc-status; the try that failed has none."""
    response = {"status": 200, "headers": {"grpc-status": "14"}}
    tries = {"tries": [{"state": "failed", "code": 502}], "upstream_status": "502"}
    server, client = spans_of(**{**GRPC, **tries, "source": "kong"}, response=response)

    assert server.attributes["rpc.response.status_code"] == "UNAVAILABLE"
    assert "rpc.response.status_code" not in client.attributes
    assert client.attributes["error.type"] == "connection_error"
