"""The OTLP sink: its spans, its answers, and the way to wait for them."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otlp_tracing.errors import TracingError
from otlp_tracing_devtools.fake_collector import OtlpSink, ScriptedAnswer, ThreadedOtlpSink

_Request = trace_service_pb2.ExportTraceServiceRequest


def _request(name: str = "GET /x") -> _Request:
    strings = ArrayValue(values=[AnyValue(string_value="a"), AnyValue(int_value=1)])
    span = Span(
        name=name,
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        attributes=[
            KeyValue(key="http.response.status_code", value=AnyValue(int_value=200)),
            KeyValue(key="list", value=AnyValue(array_value=strings)),
        ],
    )
    resource = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="kong"))])
    scope = ScopeSpans(scope=InstrumentationScope(name="otlp-tracing"), spans=[span])
    return _Request(resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope])])


async def _export(
    sink: OtlpSink, request: _Request, metadata: tuple[tuple[str, str], ...] = ()
) -> trace_service_pb2.ExportTraceServiceResponse:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{sink.port}") as channel:
        stub = trace_service_pb2_grpc.TraceServiceStub(channel)  # type: ignore[no-untyped-call]
        response: trace_service_pb2.ExportTraceServiceResponse = await stub.Export(request, metadata=metadata)
        return response


def test_spans_are_given_flat_with_resource_scope_and_metadata() -> None:
    """A received span has its attributes as plain values, and its request its headers."""

    async def run() -> OtlpSink:
        async with OtlpSink() as sink:
            await _export(sink, _request(), (("x-api-key", "k"),))
            await sink.wait_for_spans(1)
            return sink

    sink = asyncio.run(run())
    span = sink.spans[0]

    assert (span.name, span.trace_id, span.parent_span_id) == ("GET /x", bytes(range(16)).hex(), "")
    assert span.attributes == {"http.response.status_code": 200, "list": ["a", 1]}
    assert (span.resource, span.scope.name) == ({"service.name": "kong"}, "otlp-tracing")
    assert ("x-api-key", "k") in sink.requests[0].metadata


def test_waiting_ends_when_the_span_arrives() -> None:
    """A waiter that came first is woken by the export."""

    async def run() -> int:
        async with OtlpSink() as sink:
            waiting = asyncio.ensure_future(sink.wait_for_spans(2))
            await _export(sink, _request())
            await _export(sink, _request("second"))
            return len(await waiting)

    assert asyncio.run(run()) == 2


def test_waiting_in_vain_says_what_was_there() -> None:
    """The error tells how much was received."""

    async def run() -> None:
        async with OtlpSink() as sink:
            await sink.wait_for(lambda sink: sink.calls > 0, timeout_s=0.01)

    with pytest.raises(TracingError, match="0 calls, 0 kept, 0 spans"):
        asyncio.run(run())


def test_a_scripted_status_is_answered_once_and_nothing_is_kept() -> None:
    """After the script the default comes again."""

    async def run() -> tuple[grpc.StatusCode, int, int]:
        async with OtlpSink() as sink:
            sink.script(ScriptedAnswer(grpc.StatusCode.UNAVAILABLE, "later", trailers=[("x-retry", "1")]))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await _export(sink, _request())
            await _export(sink, _request())
            return caught.value.code(), sink.calls, len(sink.spans)

    assert asyncio.run(run()) == (grpc.StatusCode.UNAVAILABLE, 2, 1)


def test_partial_success_is_reported() -> None:
    """The response says how many spans were rejected, and why."""

    async def run() -> tuple[int, str]:
        async with OtlpSink() as sink:
            sink.script(ScriptedAnswer(message="too old", rejected_spans=1))
            partial = (await _export(sink, _request())).partial_success
            return partial.rejected_spans, partial.error_message

    assert asyncio.run(run()) == (1, "too old")


def test_what_is_kept_is_bounded_and_the_loss_is_counted() -> None:
    """The oldest exports are dropped first."""

    async def run() -> tuple[list[str], int]:
        async with OtlpSink(max_requests=2) as sink:
            for name in "abc":
                await _export(sink, _request(name))
            return [span.name for span in sink.spans], sink.forgotten

    assert asyncio.run(run()) == (["b", "c"], 1)


def test_a_sink_can_come_back_on_its_port() -> None:
    """A restart looks like a collector's: the same address, refused in between."""

    async def run() -> int:
        sink = OtlpSink()
        await sink.start()
        port = sink.port
        await sink.stop()
        await sink.start(port)
        await _export(sink, _request())
        await sink.stop()
        return sink.calls

    assert asyncio.run(run()) == 1


def test_the_threaded_sink_serves_synchronous_code() -> None:
    """It receives from a blocking client in another thread."""
    with ThreadedOtlpSink() as threaded, grpc.insecure_channel(f"127.0.0.1:{threaded.sink.port}") as channel:
        trace_service_pb2_grpc.TraceServiceStub(channel).Export(_request())  # type: ignore[no-untyped-call]
        spans = threaded.wait_for_spans(1)

    assert [span.name for span in spans] == ["GET /x"]
