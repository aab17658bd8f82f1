"""The way of one request: phases, route, tries, answer, log.

Joins the other modules; holds the rules that concern more than one of them. Speaks to clients through
`ClientRequest` and `Responder`, to upstreams through `exchange`.

Source: kong/init.lua and kong/runloop/handler.lua of Kong 3.9.1; transcripts 01-28, 51.
"""

from __future__ import annotations

import ssl

from otlp_tracing_devtools.fake_kong import grpc_upstream, upstream
from otlp_tracing_devtools.fake_kong.answering import send_on, send_own
from otlp_tracing_devtools.fake_kong.answers import OwnAnswer, error_answer, failure_answer
from otlp_tracing_devtools.fake_kong.balancer import Address, Balancer, NoPeerError, Try
from otlp_tracing_devtools.fake_kong.client_gone import ClientGoneError, unless_gone
from otlp_tracing_devtools.fake_kong.client_side import ClientRequest, Responder
from otlp_tracing_devtools.fake_kong.context import RequestContext, TlsInfo, now_ms
from otlp_tracing_devtools.fake_kong.entities import Route, Service
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.http1 import MessageError
from otlp_tracing_devtools.fake_kong.phases import Phases
from otlp_tracing_devtools.fake_kong.plugin_chain import ConfiguredPlugin
from otlp_tracing_devtools.fake_kong.proxied_headers import drop_connection_headers, upstream_headers
from otlp_tracing_devtools.fake_kong.request_body import BodyTooLargeError, RequestBody
from otlp_tracing_devtools.fake_kong.router import Router
from otlp_tracing_devtools.fake_kong.upstream import Timeouts, UpstreamAnswer, UpstreamError, UpstreamRequest
from otlp_tracing_devtools.fake_kong.version import NEWEST, Version

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "MKCOL", "COPY", "MOVE", "PROPFIND"})
_CLIENT_CLOSED = 499  # nginx's status for a client that did not wait


class Proxy:
    """Handles requests for one worker."""

    def __init__(self, router: Router, balancer: Balancer, phases: Phases, version: Version = NEWEST) -> None:
        self._router = router
        self._balancer = balancer
        self._phases = phases
        self._version = version

    async def handle(self, request: ClientRequest, responder: Responder) -> None:
        """Answer one request, then start its log phases; the client never waits for those."""
        context = _context(request, self._version)
        collected: list[ConfiguredPlugin] = []
        try:
            await self._answer(context, request, responder, collected)
        finally:
            context.times.end_ms = now_ms()
            context.sent_bytes = responder.sent_bytes
            self._phases.log(context, collected)

    async def _answer(
        self, context: RequestContext, request: ClientRequest, responder: Responder, collected: list[ConfiguredPlugin]
    ) -> None:
        if request.refusal:
            await send_own(context, _failed(context, request.refusal), responder)
            return
        body = RequestBody(request)
        try:
            own = await self._before_upstream(context, collected)
            if own is None:
                await self._proxy(context, request, responder, body)
                return
        except NoPeerError as error:
            context.proxied, context.exited = False, True
            own = error_answer(context, 503, str(error))
        except UpstreamError as error:
            own = _failed(context, error.status)
        except BodyTooLargeError:
            own = _failed(context, 413)
        except (ClientGoneError, MessageError):
            context.status = _CLIENT_CLOSED
            context.response_headers = Headers([("connection", "keep-alive")])  # transcript 23
            responder.abandon()
            return
        await send_own(context, own, responder)

    async def _before_upstream(self, context: RequestContext, collected: list[ConfiguredPlugin]) -> OwnAnswer | None:
        """Run the phases before the upstream; an answer means it is not asked."""
        own = await self._phases.rewrite(context)
        if own:
            return own
        host = context.headers.get("host") or ""
        match = self._router.match(context.method, host, context.raw_path, context.headers)
        if match is None:
            context.exited = True
            return error_answer(context, 404, "no Route matched with those values")
        own = _wrong_protocol(context, match.route)
        if own is not None:
            return own
        context.match = match
        context.tries = []
        context.upstream_path = context.match.upstream_path
        if context.match.route.preserve_host:
            context.upstream_host = context.headers.get("host")
        own = await self._phases.access(context, collected)
        if own is None and context.service is None:
            context.exited = True
            own = error_answer(context, 503, "no Service found with those values")
        return own

    async def _proxy(
        self, context: RequestContext, request: ClientRequest, responder: Responder, body: RequestBody
    ) -> None:
        service = context.service
        if service is None:
            raise NoPeerError("no Service found with those values")
        drop_connection_headers(context.headers)
        context.proxied = True
        try:
            answer = await unless_gone(self._try_all(context, service, body), request.gone)
        except ClientGoneError:
            context.upstream_statuses.append("-")
            raise
        try:
            await send_on(context, service, answer, responder, request.gone)
        finally:
            await answer.close()

    async def _try_all(self, context: RequestContext, service: Service, body: RequestBody) -> UpstreamAnswer:
        """Ask one address after the other until one answers or the retries are used up."""
        if body.present and not service.is_grpc and (context.route is None or context.route.request_buffering):
            await body.buffer()
        tries = context.tries if context.tries is not None else []
        while True:
            attempt = Try()
            tries.append(attempt.record)
            try:
                answer = await self._try_one(context, service, body, attempt)
            except NoPeerError:
                tries.pop()  # nothing was tried
                raise
            except UpstreamError as error:
                context.upstream_statuses.append(str(error.status))
                if len(tries) > service.retries or not _may_retry(context, body, error):
                    raise
                attempt.failed(error.status)
                continue
            context.upstream_statuses.append(str(answer.status))
            return answer

    async def _try_one(
        self, context: RequestContext, service: Service, body: RequestBody, attempt: Try
    ) -> UpstreamAnswer:
        address = await self._balancer.pick(service.host, service.port)
        context.times.balancer_end_ms = attempt.ready(address)
        timeouts = Timeouts(
            service.connect_timeout_ms / 1000, service.write_timeout_ms / 1000, service.read_timeout_ms / 1000
        )
        tls = _unverified() if service.protocol in {"https", "grpcs"} else None
        request = _upstream_request(context, service, body, address)
        exchange = grpc_upstream.exchange if service.is_grpc else upstream.exchange
        return await exchange(address.ip, address.port, request, timeouts, tls)


def _context(request: ClientRequest, version: Version) -> RequestContext:
    tls = request.end.tls
    client_ip, client_port = request.end.peer
    return RequestContext(
        method=request.method,
        target=request.target,
        http_version=request.http_version,
        headers=request.headers,
        client_ip=client_ip,
        client_port=client_port,
        server_port=request.end.server_port,
        version=version,
        tls=TlsInfo(tls.version() or "", (tls.cipher() or ("",))[0]) if tls else None,
        received_bytes=lambda: request.received_bytes,
    )


def _failed(context: RequestContext, status: int) -> OwnAnswer:
    """An error nginx found rather than a plugin; kong/init.lua, handle_error."""
    context.unexpected = True
    return failure_answer(context, status)


def _wrong_protocol(context: RequestContext, route: Route) -> OwnAnswer | None:
    """Refuse a request over a protocol the route is not for; access.before in kong/runloop/handler.lua.

    That is before the request has a route: the log record has none, and only global plugins log.
    """
    protocols = set(route.protocols)
    own: OwnAnswer | None = None
    if "https" in protocols and "http" not in protocols and not context.tls:
        own = _not_https(context, route.https_redirect_status_code)
    elif protocols & {"grpc", "grpcs"} and not context.is_grpc:
        own = _not_grpc(context)
    elif "grpcs" in protocols and "grpc" not in protocols and not context.tls:
        lines = [("content-type", "application/grpc"), ("grpc-status", "1")]
        own = OwnAnswer(200, b"", Headers([*lines, ("grpc-message", "gRPC request matched gRPCs route")]))
    context.exited = own is not None
    return own


def _not_https(context: RequestContext, status: int) -> OwnAnswer:
    if status != 426:
        location = f"https://{context.host}{context.target}"
        return OwnAnswer(status, b"", Headers([("Location", location)]))
    own = error_answer(context, status, "Please use HTTPS protocol")
    own.headers.set("Upgrade", "TLS/1.2, HTTP/1.1")
    return own


def _not_grpc(context: RequestContext) -> OwnAnswer:
    if not (context.headers.get("content-type") or "").startswith("application/grpc"):
        return error_answer(context, 415, "Non-gRPC request matched gRPC route")
    own = error_answer(context, 426, "Please use HTTP2 protocol")
    own.headers.set("Upgrade", "HTTP/2")
    return own


def _may_retry(context: RequestContext, body: RequestBody, error: UpstreamError) -> bool:
    """proxy_next_upstream, nginx's default: a sent request is repeated only where that does no harm."""
    return not error.sent or (body.repeatable and context.method in _IDEMPOTENT)


def _upstream_request(
    context: RequestContext, service: Service, body: RequestBody, address: Address
) -> UpstreamRequest:
    default_port = 443 if service.protocol in {"https", "grpcs"} else 80
    host = address.hostname if address.port == default_port else f"{address.hostname}:{address.port}"
    path = context.upstream_path
    target = path if context.query is None else f"{path}?{context.query}"
    chunked = body.present and body.length is None
    headers = upstream_headers(context, host, body.length if body.present else None, chunked=chunked)
    return UpstreamRequest(context.method, target, headers, body.pieces if body.present else None, chunked)


def _unverified() -> ssl.SSLContext:
    """Kong does not verify an upstream's certificate unless a service says so (tls_verify)."""
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    return tls
