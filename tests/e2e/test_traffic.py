"""Requests through the gateway, spans in a real collector's file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from e2e.client import Caller
from e2e.collectors import Collector
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RunningGateway
from e2e.ports import HOST
from e2e.spans import CLIENT, SERVER, SeenSpan, wait_for_trace
from e2e.upstreams import RecordingUpstream
from otlp_tracing import __version__

_RESOURCE = [{"key": "service.name", "value": "kong-gateway"}, {"key": "service.version", "value": "1.0.0"}]
_REMOTE_PARENT, _RANDOM, _SAMPLED = 0x300, 0x02, 0x01


@pytest.fixture(scope="module")
def other_collector(start_collector: Callable[[], Collector]) -> Iterator[Collector]:
    with start_collector() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway, upstream: RecordingUpstream, collector: Collector, other_collector: Collector
) -> Iterator[RunningGateway]:
    users = service("users", upstream.url, [tracing(collector.endpoint, resource_attributes=_RESOURCE)])
    orders = service("orders", upstream.url, [tracing(other_collector.endpoint)])
    with start_gateway(declaration(users, orders)) as running:
        yield running


def _request(
    gateway: RunningGateway, collector: Collector, target: str, *headers: tuple[str, str]
) -> tuple[SeenSpan, SeenSpan]:
    caller = Caller.new()
    gateway.get(target, [caller.header(), *headers])
    server, client = wait_for_trace(collector, caller.trace_id)
    assert server.parent_span_id == caller.span_id
    return server, client


def test_a_request_is_a_server_span_with_a_client_span_under_it(gateway: RunningGateway, collector: Collector) -> None:
    """Names, kinds and parents tell the gateway's work: it was called, and it called the upstream."""
    server, client = _request(gateway, collector, "/users/42")

    assert (server.name, server.kind) == ("GET /users", SERVER)
    assert (client.name, client.kind, client.parent_span_id) == ("GET", CLIENT, server.span_id)
    assert (server.is_error, client.is_error) == (False, False)
    assert server.start_unix_ns <= client.start_unix_ns <= client.end_unix_ns <= server.end_unix_ns


def test_the_server_span_describes_the_request(gateway: RunningGateway, collector: Collector) -> None:
    """HTTP attributes by the stable conventions, Kong's own facts beside them."""
    server, _ = _request(gateway, collector, "/users/42?page=7", ("User-Agent", "e2e"))

    http = {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/users",
        "url.path": "/users/42",
        "url.query": "page=7",
        "url.scheme": "http",
        "server.address": HOST,
        "client.address": HOST,
        "user_agent.original": "e2e",
    }
    kong = {
        "kong.route.name": "users-route",
        "kong.service.name": "users-service",
        "kong.response.source": "upstream",
        **({"kong.workspace.name": "default"} if gateway.version >= (3, 8) else {}),
    }
    assert http | kong == {name: server.attributes.get(name) for name in http | kong}
    assert server.attributes["kong.latency.kong_ms"] >= 0
    assert len(server.attributes.get("kong.request.id", "")) == (32 if gateway.version >= (3, 5) else 0)


def test_the_client_span_describes_the_try(
    gateway: RunningGateway, collector: Collector, upstream: RecordingUpstream
) -> None:
    """Where the request went, as which URL, with which answer."""
    _, client = _request(gateway, collector, "/users/42?page=7")

    assert dict(client.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "network.peer.address": HOST,
        "network.peer.port": upstream.port,
        "server.address": HOST,
        "server.port": upstream.port,
        "service.peer.name": "users-service",
        "url.full": f"{upstream.url}/42?page=7",
    }


def test_resource_and_scope_say_who_speaks(gateway: RunningGateway, collector: Collector) -> None:
    """The resource is the configured one, the scope is this project in its version."""
    server, _ = _request(gateway, collector, "/users/1")

    assert server.resource["service.name"] == "kong-gateway"
    assert server.resource["service.version"] == "1.0.0"
    assert server.scope == ("otlp_tracing", __version__)
    assert server.schema_url.startswith("https://opentelemetry.io/schemas/")


def test_the_upstream_is_called_as_a_child_of_the_client_span(
    gateway: RunningGateway, collector: Collector, upstream: RecordingUpstream
) -> None:
    """The caller's trace continues, and the parent-id that the upstream sees is the CLIENT span's id."""
    caller = Caller.new()

    gateway.get(f"/users/{caller.span_id}", [caller.header("03"), ("tracestate", "vendor=1")])

    _, client = wait_for_trace(collector, caller.trace_id)
    seen = upstream.request(caller.span_id)
    assert seen.traceparent == (caller.trace_id, client.span_id, "03")
    assert seen.all("tracestate") == ["vendor=1"]
    assert client.trace_state == "vendor=1"


@pytest.mark.parametrize(
    "traceparent",
    ["", "garbage", "00-{id}-{span}", "ff-{id}-{span}-01", "00-" + 32 * "0" + "-{span}-01", "00-{id}-{span}-01-x"],
    ids=["empty", "garbage", "short", "version-ff", "zero-id", "too-long"],
)
def test_a_malformed_traceparent_starts_a_new_trace(
    gateway: RunningGateway, collector: Collector, upstream: RecordingUpstream, traceparent: str
) -> None:
    """The trace is a new, random and sampled one; the tracestate that came along is dropped."""
    caller = Caller.new()
    line = traceparent.format(id=caller.trace_id, span=caller.span_id)

    gateway.get(f"/users/{caller.span_id}", [("traceparent", line), ("tracestate", "vendor=1")])

    seen = upstream.request(caller.span_id)
    trace_id, parent_id, flags = seen.traceparent
    server, client = wait_for_trace(collector, trace_id)
    assert trace_id != caller.trace_id
    assert (flags, parent_id) == ("03", client.span_id)
    assert [line for line in seen.all("tracestate") if "vendor" in line] == []
    assert server.parent_span_id == ""
    assert server.flags & 0x3FF == 0x100 | _RANDOM | _SAMPLED


def test_a_remote_parent_is_marked_as_one(gateway: RunningGateway, collector: Collector) -> None:
    """The SERVER span's parent is in another process, the CLIENT span's is not."""
    server, client = _request(gateway, collector, "/users/1")

    assert server.flags & _REMOTE_PARENT == 0x300
    assert client.flags & _REMOTE_PARENT == 0x100


def test_two_destinations_get_each_their_own(
    gateway: RunningGateway, collector: Collector, other_collector: Collector
) -> None:
    """Routes with different endpoints share a plugin server, and no collector sees the other's spans."""
    users, orders = Caller.new(), Caller.new()
    gateway.get("/users/1", [users.header()])
    gateway.get("/orders/1", [orders.header()])

    wait_for_trace(collector, users.trace_id)
    wait_for_trace(other_collector, orders.trace_id)
    assert {span.name for span in collector.spans() if span.kind == SERVER} == {"GET /users"}
    assert {span.name for span in other_collector.spans() if span.kind == SERVER} == {"GET /orders"}


def test_secrets_of_the_query_never_arrive(gateway: RunningGateway, collector: Collector) -> None:
    """The values of sensitive parameters are nowhere in the collector's file; the others are."""
    caller = Caller.new()
    query = "token=s3cr3t-one&page=7&apiKey=s3cr3t-two&X-Amz-Signature=s3cr3t-three"

    gateway.get(f"/users/1?{query}", [caller.header()])

    server, client = wait_for_trace(collector, caller.trace_id)
    assert "s3cr3t" not in collector.text()
    redacted = "token=REDACTED&page=7&apiKey=REDACTED&X-Amz-Signature=REDACTED"
    assert server.attributes["url.query"] == redacted
    assert client.attributes["url.full"].endswith(f"/1?{redacted}")
