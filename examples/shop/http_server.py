"""SERVER spans for an aiohttp service, by hand: the work of an instrumentation library, on a page."""

from __future__ import annotations

import time

from aiohttp import web
from aiohttp.typedefs import Handler
from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from shop import red

__all__ = ["server_spans"]

_tracer = trace.get_tracer(__name__)
_PROBES = {"/healthz", "/readyz"}  # every few seconds from everywhere, and without use as traces


@web.middleware
async def server_spans(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put a request into a SERVER span of its caller's trace, with the caller's baggage in the context.

    The span is named by method and route, never by the path: `GET /api/users/{id}`.
    """
    if request.path in _PROBES:
        return await handler(request)
    resource = request.match_info.route.resource
    route = {"http.route": resource.canonical} if resource else {}
    started = time.perf_counter()
    token = context.attach(propagate.extract(request.headers))
    try:
        with _tracer.start_as_current_span(
            " ".join([request.method, *route.values()]),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": request.method, "url.path": request.path, **route},
        ) as span:
            response = await _answer(request, handler, span)
            span.set_attribute("http.response.status_code", response.status)
            if response.status >= 500:
                span.set_attribute("error.type", str(response.status))
                span.set_status(Status(StatusCode.ERROR))
            labels: dict[str, str | int] = {"http.request.method": request.method, **route}
            labels["http.response.status_code"] = response.status
            red.observe("http", time.perf_counter() - started, labels)
            return response
    finally:
        context.detach(token)


async def _answer(request: web.Request, handler: Handler, span: Span) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as answer:
        return web.json_response({"message": answer.reason}, status=answer.status)
    except Exception as error:  # it becomes an answer, and is in the span with its stack
        span.record_exception(error)
        return web.json_response({"message": "internal error"}, status=500)
