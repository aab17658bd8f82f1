"""The OTLP receiver: its spans, its answers, and the way to wait for them."""

from __future__ import annotations

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


async def test_spans_are_given_flat_with_resource_scope_and_metadata() -> None:
    """A received span has its attributes as plain values, and its request its headers."""
    async with OtlpSink() as sink:
        await _export(sink, _request(), (("x-api-key", "k"),))
        (span,) = await sink.wait_for_spans(1)

    assert (span.name, span.trace_id, span.parent_span_id) == ("GET /x", bytes(range(16)).hex(), "")
    assert span.attributes == {"http.response.status_code": 200, "list": ["a", 1]}
    assert (span.resource, span.scope.name) == ({"service.name": "kong"}, "otlp-tracing")
    assert ("x-api-key", "k") in sink.requests[0].metadata


async def test_waiting_in_vain_tells_the_counts() -> None:
    """The error tells how much was received."""
    async with OtlpSink() as sink:
        with pytest.raises(TracingError, match="0 calls, 0 kept, 0 spans"):
            await sink.wait_for(lambda sink: sink.calls > 0, timeout_s=0.01)


async def test_scripted_answers_are_given_once() -> None:
    """A status and a partial success come in turn; after them every export succeeds again."""
    async with OtlpSink() as sink:
        sink.script(
            ScriptedAnswer(grpc.StatusCode.UNAVAILABLE, "later"), ScriptedAnswer(message="too old", rejected_spans=1)
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _export(sink, _request())
        partial, whole = [(await _export(sink, _request())).partial_success for _ in range(2)]

    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert (partial.rejected_spans, partial.error_message, whole.rejected_spans) == (1, "too old", 0)
    assert (sink.calls, len(sink.spans)) == (3, 2)


async def test_kept_exports_are_bounded_and_the_loss_is_counted() -> None:
    """The oldest exports are dropped first."""
    async with OtlpSink(max_requests=2) as sink:
        for name in "abc":
            await _export(sink, _request(name))

    assert ([span.name for span in sink.spans], sink.forgotten) == (["b", "c"], 1)


def test_the_threaded_sink_serves_synchronous_code() -> None:
    """It receives from a blocking client in another thread."""
    with ThreadedOtlpSink() as threaded, grpc.insecure_channel(f"127.0.0.1:{threaded.sink.port}") as channel:
        trace_service_pb2_grpc.TraceServiceStub(channel).Export(_request())  # type: ignore[no-untyped-call]
        spans = threaded.wait_for_spans(1)

    assert [span.name for span in spans] == ["GET /x"]
