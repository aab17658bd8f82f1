"""SERVER spans for a grpc.aio service, as an interceptor."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from shop import red

__all__ = ["ServerSpans"]

_tracer = trace.get_tracer(__name__)
# Codes that are the server's fault; the others are the caller's. Source: semantic conventions, rpc/grpc.md.
_FAULTS = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class ServerSpans(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # generic in its stub only
    """Puts every call into a SERVER span of its caller's trace, named by service and method."""

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Any:
        """Wrap the handler of a call."""
        handler = await continuation(details)
        if handler is None:
            return None
        carrier = {key: value for key, value in details.invocation_metadata if isinstance(value, str)}
        method = details.method.lstrip("/")
        if handler.response_streaming:
            return handler._replace(unary_stream=_streaming(handler.unary_stream, method, carrier))
        return handler._replace(unary_unary=_unary(handler.unary_unary, method, carrier))


def _unary(behaviour: Any, method: str, carrier: dict[str, str]) -> Any:
    async def traced(request: Any, call: grpc.aio.ServicerContext[Any, Any]) -> Any:
        with _Call(method, carrier, call):
            return await behaviour(request, call)

    return traced


def _streaming(behaviour: Any, method: str, carrier: dict[str, str]) -> Any:
    async def traced(request: Any, call: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        with _Call(method, carrier, call):
            async for message in behaviour(request, call):
                yield message

    return traced


class _Call:
    """The span and the measurement of one call."""

    def __init__(self, method: str, carrier: dict[str, str], call: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._call = call
        self._attributes: dict[str, str | int] = {"rpc.system.name": "grpc", "rpc.method": method}
        self._token = context.attach(propagate.extract(carrier))
        self._span: Span = _tracer.start_span(method, kind=SpanKind.SERVER, attributes=self._attributes)
        self._inner = context.attach(trace.set_span_in_context(self._span))
        self._started = time.perf_counter()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _traceback: object) -> None:
        code = self._code(error)
        self._attributes["rpc.response.status_code"] = code.name
        self._span.set_attributes(self._attributes)
        if code in _FAULTS:
            self._span.set_attribute("error.type", code.name)
            self._span.set_status(Status(StatusCode.ERROR))
        if error is not None and not isinstance(error, grpc.aio.AbortError):
            self._span.record_exception(error)
        red.observe("rpc", time.perf_counter() - self._started, self._attributes)
        self._span.end()
        context.detach(self._inner)
        context.detach(self._token)

    def _code(self, error: BaseException | None) -> grpc.StatusCode:
        code = self._call.code()
        if error is not None and not code:
            return grpc.StatusCode.UNKNOWN
        # The context gives the number, 0 or None as long as nothing was set.
        return next((one for one in grpc.StatusCode if code in (one, one.value[0])), grpc.StatusCode.OK)
