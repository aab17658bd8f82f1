"""The example services behind the gateway: each topic that they are there to show, seen in the spans."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import yaml

from checkout import CHECKOUT
from e2e.client import Caller, fetch
from e2e.conftest import StartGateway
from e2e.declarations import declaration, tracing
from e2e.gateways import RunningGateway
from e2e.ports import HOST, free_port
from e2e.spans import SeenSpan, SpanSource, wait_for_trace
from e2e.waiting import wait_for
from otlp_tracing_devtools.demo.declaration import localise
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

EXAMPLES = CHECKOUT / "examples"
KONG_YML = yaml.safe_load((CHECKOUT / "kong" / "kong.yml").read_text())
QUERIES = {"/api/orders": "?user=1", "/api/orders/search": "?item=shoes"}
SECONDS = 30.0


@dataclass(frozen=True)
class Shop:
    """The two services, with the gateway before them."""

    gateway: RunningGateway
    users: str
    orders: str
    environment: Mapping[str, str]


@pytest.fixture(scope="module")
def shop(
    sink: ThreadedOtlpSink, start_gateway: StartGateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """Give the services, behind a gateway that traces all of their routes."""
    endpoint = sink.sink.endpoint
    users, orders, rpc = (f"{HOST}:{free_port()}" for _ in range(3))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        "PYTHONPATH": str(EXAMPLES),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    commands = [
        ["shop.order_service", "--listen", orders, "--grpc", rpc],
        ["shop.user_service", "--listen", users, "--orders", rpc],
    ]
    folder = tmp_path_factory.mktemp("shop")
    processes = []
    for module, *arguments in commands:
        with (folder / f"{module}.log").open("wb") as log:
            command = [sys.executable, "-m", module, *arguments]
            processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    routes = {
        "users": {
            "url": f"http://{users}",
            "routes": [{"name": "users", "paths": ["/api/users"], "strip_path": False}],
        },
        "orders": {
            "url": f"grpc://{rpc}",
            "routes": [{"name": "orders", "paths": ["/shop.OrderService"], "protocols": ["grpc"], "strip_path": False}],
        },
    }
    services = [{"name": name, **fields} for name, fields in routes.items()]
    plugin = tracing(endpoint, resource_attributes=[{"key": "service.name", "value": "kong-gateway"}])
    try:
        for address in (users, orders):
            wait_for(functools.partial(_answers, address, "/readyz"), SECONDS, f"{address} is ready")
        with start_gateway(declaration(*services, plugins=[plugin])) as gateway:
            yield Shop(gateway, users, orders, environment)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(SECONDS)


@pytest.fixture(scope="module")
def shipped(shop: Shop, sink: ThreadedOtlpSink, start_gateway: StartGateway) -> Iterator[RunningGateway]:
    """Give a gateway with the shipped kong.yml before the same services."""
    collector = sink.sink.endpoint.removeprefix("http://")
    here = {"user-service:8080": shop.users, "order-service:8080": shop.orders, "otel-collector:4317": collector}
    with start_gateway(localise(KONG_YML, here)) as gateway:
        yield gateway


def _paths() -> list[str]:
    return [path for service in KONG_YML["services"] for route in service["routes"] for path in route["paths"]]


@pytest.mark.parametrize("path", _paths())
def test_every_route_of_kong_yml_leads_somewhere(shipped: RunningGateway, path: str) -> None:
    """The services answer each path that the shipped kong.yml routes to them, with the key where one is needed."""
    key = KONG_YML["consumers"][0]["keyauth_credentials"][0]["key"]

    assert shipped.get(path + QUERIES.get(path, ""), [("apikey", key)]).status == 200


def test_probes_through_the_gateway_are_not_traced(shipped: RunningGateway, spans_at_sink: SpanSource) -> None:
    """The rule of the shipped kong.yml leaves no span of a probe, at a rate of 1 for the rest."""
    for path in ("/healthz", "/readyz"):
        assert shipped.get(path).status == 200
    caller = Caller.new()
    shipped.get("/api/users", [caller.header()])

    wait_for_trace(spans_at_sink, caller.trace_id, 3)
    assert not [span for span in spans_at_sink.spans() if span.attributes.get("url.path") in {"/healthz", "/readyz"}]


def test_one_trace_goes_through_gateway_and_services(shop: Shop, spans_at_sink: SpanSource) -> None:
    """A request through the gateway is one trace: gateway, user-service, and order-service called over gRPC."""
    caller = Caller.new()

    assert shop.gateway.get("/api/users/1", [caller.header()]).status == 200
    spans = _by_name(wait_for_trace(spans_at_sink, caller.trace_id, 7))
    served = spans["user-service", "GET /api/users/{id}"]
    called = spans["user-service", "shop.OrderService/ListOrders"]
    answered = spans["order-service", "shop.OrderService/ListOrders"]
    assert served.parent_span_id == spans["kong-gateway", "GET"].span_id
    assert called.parent_span_id == served.span_id
    assert answered.parent_span_id == called.span_id


def test_baggage_reaches_the_service_behind_the_service(shop: Shop, spans_at_sink: SpanSource) -> None:
    """A member that user-service puts into its baggage is an attribute of a span of order-service."""
    caller = Caller.new()
    shop.gateway.get("/api/users/1", [caller.header()])

    spans = _by_name(wait_for_trace(spans_at_sink, caller.trace_id, 7))
    assert spans["order-service", "read orders"].attributes["app.request.source"] == "user-service"


def test_parallel_calls_are_siblings(shop: Shop, spans_at_sink: SpanSource) -> None:
    """The two things that user-service asks for at once lie under its span, and one begins before the other ends."""
    caller = Caller.new()
    shop.gateway.get("/api/users/2", [caller.header()])

    spans = _by_name(wait_for_trace(spans_at_sink, caller.trace_id, 7))
    slow, quick = spans["user-service", "shop.OrderService/ListOrders"], spans["user-service", "find likes"]
    assert slow.parent_span_id == quick.parent_span_id
    assert quick.start_unix_ns < slow.end_unix_ns
    assert slow.start_unix_ns < quick.end_unix_ns + 100_000_000


def test_an_error_is_recorded_where_it_happens(shop: Shop, spans_at_sink: SpanSource) -> None:
    """Orders that cannot be read: an error with gRPC's code at caller and callee, a 502 at the gateway."""
    caller = Caller.new()

    assert shop.gateway.get("/api/users/3", [caller.header()]).status == 502
    spans = _by_name(wait_for_trace(spans_at_sink, caller.trace_id, 7))
    for service in ("user-service", "order-service"):
        span = spans[service, "shop.OrderService/ListOrders"]
        assert span.is_error
        assert span.attributes["error.type"] == "INTERNAL"
    assert spans["kong-gateway", "GET /api/users"].attributes["http.response.status_code"] == 502


def test_the_client_starts_traces_and_tries_again(shop: Shop, spans_at_sink: SpanSource) -> None:
    """The client prints a trace id a request; a 502 is tried three times, in one trace, over HTTP and over gRPC."""
    address = shop.gateway.http2_url.removeprefix("http://")
    done = subprocess.run(
        [sys.executable, "-m", "shop.client", shop.gateway.url, "--users", "1,3", "--grpc", address],
        env=dict(shop.environment), capture_output=True, text=True, check=True, timeout=SECONDS,
    )  # fmt: skip
    printed = [(line.split()[0], line.split()[-3], line.split()[-1]) for line in done.stdout.splitlines()]

    assert [(what, outcome) for what, outcome, _ in printed] == [
        ("GET", "200"), ("ListOrders(1)", "OK"), ("GET", "502"), ("ListOrders(3)", "INTERNAL"),
    ]  # fmt: skip
    retried = wait_for_trace(spans_at_sink, printed[2][2], 1 + 3 * 8)
    assert sum(span.resource["service.name"] == "shop-client" and span.name == "GET" for span in retried) == 3
    rpc = _by_name(wait_for_trace(spans_at_sink, printed[1][2], 6))
    assert rpc["order-service", "shop.OrderService/ListOrders"].trace_id == printed[1][2]


def test_health_tells_of_dependencies_and_makes_no_spans(shop: Shop, spans_at_sink: SpanSource) -> None:
    """/readyz names order-service and how long it took; no trace has a probe."""
    answer = fetch(f"http://{shop.users}", "/readyz")

    assert answer.status == 200
    assert '"order-service": {"status": "healthy"' in answer.text()
    assert not [span for span in spans_at_sink.spans() if "readyz" in span.name]


def _by_name(spans: list[SeenSpan]) -> dict[tuple[str, str], SeenSpan]:
    return {(span.resource["service.name"], span.name): span for span in spans}


def _answers(address: str, path: str) -> bool:
    try:
        return fetch(f"http://{address}", path).status == 200
    except (OSError, IndexError):
        return False
