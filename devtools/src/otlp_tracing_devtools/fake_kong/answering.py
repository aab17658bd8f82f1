"""Send an answer to the client, an upstream's or Kong's own, and note its facts for the log record.

Knows which headers and times belong to which; decides nothing about the request.

Source: header_filter in kong/runloop/handler.lua and kong/init.lua of Kong 3.9.1; transcripts 01, 24, 51.
"""

from __future__ import annotations

import asyncio

from otlp_tracing_devtools.fake_kong.answers import OwnAnswer, in_grpc
from otlp_tracing_devtools.fake_kong.client_gone import ClientGoneError, unless_gone
from otlp_tracing_devtools.fake_kong.client_side import Responder, reason_of
from otlp_tracing_devtools.fake_kong.context import RequestContext, now_ms
from otlp_tracing_devtools.fake_kong.entities import Service
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.proxied_headers import add_latency_headers, answer_headers
from otlp_tracing_devtools.fake_kong.tunnel import relay
from otlp_tracing_devtools.fake_kong.upstream import UpstreamAnswer, UpstreamError


async def send_on(
    context: RequestContext, service: Service, answer: UpstreamAnswer, responder: Responder, gone: asyncio.Event
) -> None:
    """Send an upstream's answer as it comes; if it breaks off, so does the client's connection.

    Ends when the client is gone, also where the upstream has nothing to send.
    """
    context.times.answer_ms = now_ms()
    context.status = answer.status
    _mark_last_try(context, service)
    headers = answer_headers(answer.headers, context)
    _record_response(context, headers, chunked="content-length" not in headers)
    try:
        if answer.status == 101:
            await _switch(context, answer, headers, responder)
            return
        await responder.start(answer.status, answer.reason or reason_of(answer.status), headers)
        await unless_gone(_send_body(answer, responder), gone)
    except (ClientGoneError, UpstreamError, OSError):
        responder.abandon()  # the head is out: all that can be done is to let the client see the break


async def _send_body(answer: UpstreamAnswer, responder: Responder) -> None:
    async for data in answer.body():
        await responder.write(data)
    await responder.finish(answer.trailers)


async def _switch(context: RequestContext, answer: UpstreamAnswer, headers: Headers, responder: Responder) -> None:
    headers.set("Connection", "upgrade")
    headers.set("Upgrade", answer.headers.get("upgrade") or "websocket")
    context.response_headers = Headers((name.lower(), value) for name, value in headers)
    await responder.start(101, "Switching Protocols", headers)
    reader, writer = responder.tunnel()
    responder.sent_bytes += await relay(reader, writer, *answer.tunnel())


async def send_own(context: RequestContext, answer: OwnAnswer, responder: Responder) -> None:
    """Send an answer that Kong made itself."""
    own = in_grpc(answer) if context.is_grpc else answer
    context.times.answer_ms = now_ms()
    context.status = own.status
    if context.service and context.proxied:
        _mark_last_try(context, context.service)
    headers = Headers([*own.headers, *context.extra_response_headers])
    headers.set("Content-Length", str(len(own.body)))
    add_latency_headers(headers, context)
    _record_response(context, headers, chunked=False)
    try:
        await responder.start(own.status, reason_of(own.status), headers)
        if context.method != "HEAD":
            await responder.write(own.body)
        await responder.finish(Headers())
    except OSError:
        responder.abandon()


def _mark_last_try(context: RequestContext, service: Service) -> None:
    """Kong calls a last try failed by the answer's status, be it the upstream's own: header_filter.before."""
    if context.status > 499 and context.tries and len(context.tries) > service.retries:
        context.tries[-1].update(state="failed", code=context.status)


def _record_response(context: RequestContext, headers: Headers, *, chunked: bool) -> None:
    """Keep the lines as the log record shows them, where Connection always says close: transcript 01."""
    context.response_headers = Headers([*headers, ("connection", "close")])
    if chunked and context.http_version < 2 and context.method != "HEAD" and context.status not in {204, 304}:
        context.response_headers.add("transfer-encoding", "chunked")
