"""An OTLP/gRPC trace receiver in this process: a double of a collector, for demos and tests.

It keeps received spans, up to a bound, answers as it is told to, and lets a test wait for an expected state instead of
sleeping. It exports nothing. `OtlpSink` is for asyncio, `ThreadedOtlpSink` for synchronous code.

Source: opentelemetry/proto/collector/trace/v1/trace_service.proto.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

import grpc
import grpc.aio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otlp_tracing.errors import TracingError

_MAX_REQUESTS = 10_000  # kept; an hour of a busy demo at one batch per 0.4 s, and the oldest are dropped first
_MAX_MESSAGE_BYTES = 64 << 20  # above the 4 MiB that a collector takes, so that a test can see a batch over it

AttributeValue = str | bool | int | float | bytes | list[Any] | dict[str, Any] | None
T = TypeVar("T")


@dataclass(frozen=True)
class ScriptedAnswer:
    """The sink's answer to one export.

    Args:
        code: a status other than OK ends the call with it; nothing of it is kept then.
        message: the status message.
        delay_s: how long to wait before answering.
        rejected_spans: reported as partial success, with `message`.
        trailers: trailing metadata, such as a `google.rpc.RetryInfo` in `grpc-status-details-bin`.
    """

    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    delay_s: float = 0.0
    rejected_spans: int = 0
    trailers: Sequence[tuple[str, str | bytes]] = ()


@dataclass(frozen=True)
class ReceivedRequest:
    """One export: the message, its metadata with lower-case names, and how it was answered."""

    message: trace_service_pb2.ExportTraceServiceRequest
    metadata: Sequence[tuple[str, str | bytes]]
    answer: ScriptedAnswer

    def spans(self) -> Iterator[ReceivedSpan]:
        """Give its spans, flat."""
        for resource_spans in self.message.resource_spans:
            resource = attribute_values(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    yield ReceivedSpan(span, resource, scope_spans.scope)


@dataclass(frozen=True)
class ReceivedSpan:
    """One span with its resource and scope from the message."""

    span: Span
    resource: dict[str, AttributeValue]
    scope: InstrumentationScope
    attributes: dict[str, AttributeValue] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", attribute_values(self.span.attributes))

    @property
    def name(self) -> str:
        """The span's name."""
        return self.span.name

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return self.span.trace_id.hex()

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        return self.span.span_id.hex()

    @property
    def parent_span_id(self) -> str:
        """16 hexadecimal digits; empty for a root."""
        return self.span.parent_span_id.hex()


def attribute_values(attributes: Sequence[KeyValue]) -> dict[str, AttributeValue]:
    """Turn OTLP attributes into a dict of plain values; of two with one key the last wins."""
    return {attribute.key: _plain(attribute.value) for attribute in attributes}


def _plain(value: AnyValue) -> AttributeValue:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attribute_values(value.kvlist_value.values)
    plain: str | bool | int | float | bytes = getattr(value, kind)
    return plain


class OtlpSink:
    """The receiver, for asyncio. Use `start()` and `stop()`, or `async with`.

    Args:
        credentials: makes it speak TLS.
        max_requests: how many exports are kept; the oldest are forgotten and counted in `forgotten`.
    """

    def __init__(self, *, credentials: grpc.ServerCredentials | None = None, max_requests: int = _MAX_REQUESTS) -> None:
        self._credentials = credentials
        self._received: deque[ReceivedRequest] = deque(maxlen=max_requests)
        self._script: deque[ScriptedAnswer] = deque()
        self._changed = asyncio.Condition()
        self._server: grpc.aio.Server | None = None
        self.default_answer = ScriptedAnswer()
        self.calls = 0
        self.forgotten = 0
        self.port = 0

    @property
    def endpoint(self) -> str:
        """The address, as `http://127.0.0.1:4317`; there after `start()`."""
        return f"{'https' if self._credentials else 'http'}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every export that was answered OK, oldest first."""
        return list(self._received)

    @property
    def spans(self) -> list[ReceivedSpan]:
        """Every span of those exports, in order of arrival."""
        return [span for request in self.requests for span in request.spans()]

    def script(self, *answers: ScriptedAnswer) -> None:
        """Set the next answers, one per export; after them comes `default_answer` again."""
        self._script.extend(answers)

    def clear(self) -> None:
        """Forget the received spans; counts and script stay."""
        self._received.clear()

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; port 0 takes a free one, another restarts an earlier sink's address.

        Raises:
            TracingError: the port is taken.
        """
        server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)]
        )
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Servicer(self._export), server)  # type: ignore[no-untyped-call]
        address = f"127.0.0.1:{port}"
        try:
            self.port = (
                server.add_secure_port(address, self._credentials)
                if self._credentials
                else server.add_insecure_port(address)
            )
        except RuntimeError as error:
            raise TracingError(f"the sink cannot listen on {address}: {error}") from None
        await server.start()
        self._server = server

    async def stop(self, grace_s: float | None = None) -> None:
        """Stop listening; exports in work are broken off after `grace_s`, None for at once."""
        if self._server is not None:
            await self._server.stop(grace_s)
            self._server = None

    async def __aenter__(self) -> OtlpSink:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def wait_for(self, predicate: Callable[[OtlpSink], bool], timeout_s: float = 10.0) -> None:
        """Wait until `predicate` holds; it is asked after every export.

        Raises:
            TracingError: it does not hold within `timeout_s`; the message lists the received spans.
        """
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: predicate(self)), timeout_s)
            except asyncio.TimeoutError:
                raise TracingError(f"not within {timeout_s} s; {self!r}") from None

    async def wait_for_spans(self, count: int, timeout_s: float = 10.0) -> list[ReceivedSpan]:
        """Wait for at least `count` spans and give all there are."""
        await self.wait_for(lambda sink: len(sink.spans) >= count, timeout_s)
        return self.spans

    def __repr__(self) -> str:
        return f"<OtlpSink {self.calls} calls, {len(self._received)} kept, {len(self.spans)} spans>"

    async def _export(
        self, message: trace_service_pb2.ExportTraceServiceRequest, context: Any
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        answer = self._script.popleft() if self._script else self.default_answer
        metadata = tuple((str(name), value) for name, value in context.invocation_metadata() or ())
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        accepted = answer.code is grpc.StatusCode.OK
        async with self._changed:
            self.calls += 1
            if accepted:
                self.forgotten += len(self._received) == self._received.maxlen
                self._received.append(ReceivedRequest(message, metadata, answer))
            self._changed.notify_all()
        if not accepted:
            await context.abort(answer.code, answer.message, tuple(answer.trailers))
        response = trace_service_pb2.ExportTraceServiceResponse()
        if answer.rejected_spans or answer.message:
            response.partial_success.rejected_spans = answer.rejected_spans
            response.partial_success.error_message = answer.message
        return response


class _Servicer(trace_service_pb2_grpc.TraceServiceServicer):
    """Passes exports on, under the name gRPC wants."""

    def __init__(
        self, export: Callable[..., Coroutine[Any, Any, trace_service_pb2.ExportTraceServiceResponse]]
    ) -> None:
        self._export = export

    async def Export(  # noqa: N802 - the generated base class names it
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        return await self._export(request, context)


class ThreadedOtlpSink:
    """The same for synchronous code: an `OtlpSink` on an event loop in a thread of its own.

    Use it with `with`. `sink` may be read, and scripted, from any thread.
    """

    def __init__(self, *, credentials: grpc.ServerCredentials | None = None) -> None:
        self._credentials = credentials
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="otlp-sink", daemon=True)
        self.sink: OtlpSink

    def __enter__(self) -> ThreadedOtlpSink:
        self._thread.start()
        self.sink = self._run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run(self.sink.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait_for_spans(self, count: int, timeout_s: float = 10.0) -> list[ReceivedSpan]:
        """See `OtlpSink.wait_for_spans`."""
        return self._run(self.sink.wait_for_spans(count, timeout_s))

    def wait_for(self, predicate: Callable[[OtlpSink], bool], timeout_s: float = 10.0) -> None:
        """See `OtlpSink.wait_for`."""
        self._run(self.sink.wait_for(predicate, timeout_s))

    async def _start(self) -> OtlpSink:
        sink = OtlpSink(credentials=self._credentials)
        await sink.start()
        return sink

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result()
