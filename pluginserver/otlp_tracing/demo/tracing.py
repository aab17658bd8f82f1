"""OpenTelemetry in a small service, by hand: what an instrumentation library would do, in a page.

A service reads its caller's `traceparent`, makes a SERVER span for the request and a CLIENT span for
each call it makes, and sends `traceparent` on. Query strings are left out of its spans: the demo's
gateway redacts them, a service without redaction would export them whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["client_span", "make_provider", "note_status", "server_spans"]

_PROPAGATOR = TraceContextTextMapPropagator()
_SCHEDULE_DELAY_MS = 100
_EXPORT_TIMEOUT_S = 1.0


def make_provider(service_name: str, endpoint: str) -> TracerProvider:
    """Make a provider that exports to a collector; the caller's decision to sample is followed.

    Everything is said here, so that nothing comes from `OTEL_*` variables meant for other programs.
    """
    provider = TracerProvider(
        sampler=ParentBased(ALWAYS_ON),
        resource=Resource({"service.name": service_name, "service.version": "1.0.0"}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint, insecure=True, headers=(), timeout=_EXPORT_TIMEOUT_S)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=2048,
            schedule_delay_millis=_SCHEDULE_DELAY_MS,
            max_export_batch_size=512,
            export_timeout_millis=_EXPORT_TIMEOUT_S * 1000,
        )
    )
    return provider


def server_spans(tracer: Tracer) -> Middleware:
    """Make a middleware that puts every request into a SERVER span of its caller's trace."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = {"http.route": resource.canonical} if resource else {}
        with tracer.start_as_current_span(
            " ".join([request.method, *route.values()]),
            context=_PROPAGATOR.extract(request.headers),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": request.method, "url.path": request.path, **route},
        ) as span:
            response = await _answer(request, handler, span)
            note_status(span, response.status, failed=response.status >= 500)
            return response

    return middleware


async def _answer(request: web.Request, handler: Handler, span: Span) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as answer:
        return web.json_response({"message": answer.reason}, status=answer.status)
    except Exception as error:  # it becomes an answer, and is in the span
        span.record_exception(error)
        return web.json_response({"message": "internal error"}, status=500)


@asynccontextmanager
async def client_span(tracer: Tracer, method: str, url: str, headers: MutableMapping[str, str]) -> AsyncIterator[Span]:
    """Put a call to another service into a CLIENT span, and its context into the call's headers."""
    attributes = {"http.request.method": method, "url.full": url.partition("?")[0]}
    with tracer.start_as_current_span(method, kind=SpanKind.CLIENT, attributes=attributes) as span:
        _PROPAGATOR.inject(headers)
        yield span


def note_status(span: Span, status: int, *, failed: bool) -> None:
    """Put an answer's status into a span; `failed` makes it an error."""
    span.set_attribute("http.response.status_code", status)
    if failed:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))
