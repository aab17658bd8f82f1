"""The two services and the spans they make."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, StatusCode

from otlp_tracing.demo.services import order_application, user_application

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def ask(
    path: str, traceparent: str | None = None, body: Mapping[str, object] | None = None
) -> tuple[int, Sequence[ReadableSpan]]:
    """Ask the user service, or the order service for its own paths; give the status and every span."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    headers = {} if traceparent is None else {"traceparent": traceparent}

    async def run() -> int:
        async with TestServer(order_application(tracer)) as orders:
            users = TestServer(user_application(tracer, str(orders.make_url("")).rstrip("/")))
            async with TestClient(users) as user_client, TestClient(orders) as order_client:
                client = user_client if path.startswith("/api/users") else order_client
                answer: ClientResponse = await client.request(
                    "POST" if body else "GET", path, headers=headers, json=body
                )
                await answer.read()
                return answer.status

    return asyncio.run(run()), exporter.get_finished_spans()


def named(spans: Sequence[ReadableSpan]) -> dict[tuple[str, SpanKind], ReadableSpan]:
    return {(one.name, one.kind): one for one in spans}


def test_one_trace_through_both_services() -> None:
    """The caller's trace goes on through users' SERVER and CLIENT span to orders, each a child of the one before."""
    status, spans = ask("/api/users/1", f"00-{TRACE_ID}-00f067aa0ba902b7-01")

    by_name = named(spans)
    chain = [
        by_name["GET /api/users/{id}", SpanKind.SERVER],
        by_name["GET", SpanKind.CLIENT],
        by_name["GET /api/orders", SpanKind.SERVER],
        by_name["read orders", SpanKind.INTERNAL],
    ]
    assert status == 200
    assert {one.context.trace_id for one in chain if one.context} == {int(TRACE_ID, 16)}
    parents = [one.parent.span_id if one.parent else 0 for one in chain]
    assert parents == [0x00F067AA0BA902B7, *[one.context.span_id for one in chain[:-1] if one.context]]
    assert all(one.status.status_code is StatusCode.UNSET for one in chain)


def test_an_unsampled_caller_is_followed() -> None:
    """Nobody records a span when the caller said not to."""
    assert ask("/api/users/1", f"00-{TRACE_ID}-00f067aa0ba902b7-00") == (200, ())


@pytest.mark.parametrize("path", ["/api/users/9", "/api/users/%5Bred%5D"])
def test_an_unknown_user_is_no_error_of_the_service(path: str) -> None:
    """A 404 leaves the SERVER span's status unset, and orders is not asked."""
    status, (server,) = ask(path)

    assert status == 404
    assert server.attributes
    assert server.attributes["http.response.status_code"] == 404
    assert server.status.status_code is StatusCode.UNSET


def test_a_failure_is_in_every_span_it_passes() -> None:
    """Orders fails with 500, users with 502; the exception stands where it happened, and the user gets no stack."""
    status, spans = ask("/api/users/3")

    by_name = named(spans)
    assert status == 502
    assert all(one.status.status_code is StatusCode.ERROR for one in spans)
    assert [event.name for event in by_name["read orders", SpanKind.INTERNAL].events] == ["exception"]
    assert [(one.attributes or {}).get("error.type") for one in (
        by_name["GET /api/orders", SpanKind.SERVER],
        by_name["GET", SpanKind.CLIENT],
        by_name["GET /api/users/{id}", SpanKind.SERVER],
    )] == ["500", "500", "502"]  # fmt: skip


def test_an_order_is_taken() -> None:
    """A POST is answered with 201, in a span named by its route."""
    status, (server,) = ask("/api/orders", body={"item": "shoes"})

    assert status == 201
    assert server.name == "POST /api/orders"


def test_query_strings_stay_out_of_the_services_spans() -> None:
    """What the gateway redacts does not come in by another way."""
    _, spans = ask("/api/users/1?token=hunter2")

    assert "hunter2" not in "".join(one.to_json() for one in spans)


def test_an_unknown_path_has_a_span_without_a_route() -> None:
    """The name never holds a raw path."""
    status, (server,) = ask("/api/orders/../x?y=1")

    assert status == 404
    assert server.name == "GET"
    assert server.status.status_code is StatusCode.UNSET
