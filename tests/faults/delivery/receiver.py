"""A double of a collector that answers as a test tells it to, over gRPC and over HTTP.

It keeps no spans, only the state of each, because a test of an hour has millions.

Source: opentelemetry-proto, docs/specification.md; google/rpc/error_details.proto (RetryInfo).
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from aiohttp import web
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from e2e.certificates import Pair
from e2e.ports import HOST, free_port
from faults.delivery.background import Background
from faults.delivery.ledger import Ledger
from faults.delivery.stalls import heartbeat

_MAX_MESSAGE_BYTES = 64 << 20  # more than a collector accepts, so that a test can see a batch over the limit
_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True)
class Answer:
    """The answer to one export.

    Args:
        code: of gRPC; any other than OK accepts nothing.
        status: of HTTP, if that is the protocol.
        retry_after_s: sent as RetryInfo, or as Retry-After.
        rejected: spans refused by partial success, the first of the request.
        message: with an error or a partial success.
        delay_s: how long it takes.
        hang: no answer is given until `release`.
    """

    code: grpc.StatusCode = grpc.StatusCode.OK
    status: int = 200
    retry_after_s: float | None = None
    rejected: int = 0
    message: str = ""
    delay_s: float = 0.0
    hang: bool = False

    @property
    def takes(self) -> bool:
        """The spans are taken over."""
        return self.code is grpc.StatusCode.OK and self.status == 200 and not self.hang


OK = Answer()
_GONE = Answer(grpc.StatusCode.UNAVAILABLE, 503, message="the receiver let go")


@dataclass(frozen=True)
class ServerTls:
    """The receiver's certificate, and the clients that it accepts.

    Args:
        pair: its certificate and key.
        clients: PEM of the authority that must have signed a client's certificate; None asks for none.
    """

    pair: Pair
    clients: str | None = None

    def for_grpc(self) -> grpc.ServerCredentials:
        """Return it as gRPC takes it."""
        pairs = [(self.pair.key.encode(), self.pair.certificate.encode())]
        clients = self.clients.encode() if self.clients else None
        return grpc.ssl_server_credentials(pairs, clients, require_client_auth=clients is not None)

    def for_http(self) -> ssl.SSLContext:
        """Return it as aiohttp takes it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(self.pair.key + self.pair.certificate)
            file.flush()
            context.load_cert_chain(file.name)
        if self.clients:
            context.load_verify_locations(cadata=self.clients)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass(frozen=True)
class Attempt:
    """One export: when it came (monotonic seconds), its size, how many spans, its metadata, and the answer to it."""

    at: float
    size: int
    spans: int
    metadata: Mapping[str, str]
    first_span_id: bytes
    answer: Answer


@dataclass
class _Script:
    """Decides on answers; `choose` may look at the attempt's metadata and spans."""

    default: Answer = OK
    choose: Callable[[Mapping[str, str], list[Span]], Answer] | None = None
    next: deque[Answer] = field(default_factory=deque)

    def answer(self, metadata: Mapping[str, str], spans: list[Span]) -> Answer:
        if self.next:
            return self.next.popleft()
        return self.choose(metadata, spans) if self.choose else self.default


class Receiver(Background):
    """The double. Use it with `with`; everything may be called from the test's thread.

    Args:
        ledger: records the accepted spans.
        options: gRPC server arguments, such as `grpc.max_connection_age_ms`.
        tls: its certificates, if it speaks TLS.
    """

    def __init__(
        self,
        ledger: Ledger,
        options: tuple[tuple[str, int], ...] = (),
        tls: ServerTls | None = None,
    ) -> None:
        super().__init__()
        self.ledger = ledger
        self.script = _Script()
        self.port, self.http_port = free_port(), free_port()
        self.attempts: deque[Attempt] = deque(maxlen=10_000)
        self.calls = 0
        self.most_at_once = 0
        self._broken_off: list[tuple[float, float]] = []
        self._at_once = 0
        self._options = options
        self._tls = tls
        self._grpc: grpc.aio.Server | None = None
        self._http: web.AppRunner | None = None
        self._released = asyncio.Event()

    @property
    def endpoint(self) -> str:
        """Where it listens for OTLP over gRPC."""
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.port}"

    @property
    def http_endpoint(self) -> str:
        """Where it listens for OTLP over HTTP."""
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.http_port}"

    @property
    def broken_off_after_s(self) -> list[float]:
        """Seconds after which the sidecar cancelled attempts without an answer, without the time in which no process
        ran.
        """
        return [ended - begun - heartbeat().missed(begun, ended) for begun, ended in tuple(self._broken_off)]

    def stop(self) -> None:
        """Stop listening, and cancel open requests."""
        self.call(self.closing())

    def start(self, tls: ServerTls | None = None) -> None:
        """Listen again, showing another certificate if one is given."""
        self._tls = tls or self._tls
        self.call(self.opened())

    def release(self) -> None:
        """Let exports that hang fail; later ones are answered as the script has it."""
        self.script.default = OK
        self.call(self._release())

    async def opened(self) -> None:
        self._released = asyncio.Event()
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),
                # This double ignores the sidecar's keepalive, unless a test changes that.
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
                *self._options,
            ]
        )
        server.add_generic_rpc_handlers((_Handler(self._export_grpc),))
        address = f"{HOST}:{self.port}"
        if self._tls:
            server.add_secure_port(address, self._tls.for_grpc())
        else:
            server.add_insecure_port(address)
        await server.start()
        app = web.Application(client_max_size=_MAX_MESSAGE_BYTES)
        app.add_routes([web.post("/v1/traces", self._export_http)])
        self._grpc, self._http = server, web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._http.setup()
        context = self._tls.for_http() if self._tls else None
        await web.TCPSite(self._http, HOST, self.http_port, ssl_context=context).start()

    async def closing(self) -> None:
        await self._release()
        if self._grpc is not None:
            await self._grpc.stop(None)
        if self._http is not None:
            await self._http.cleanup()
        self._grpc = self._http = None

    async def _release(self) -> None:
        self._released.set()
        self._released = asyncio.Event()

    async def _export_grpc(self, body: bytes, context: Any) -> bytes:
        metadata = {str(name): str(value) for name, value in context.invocation_metadata() or ()}
        answer = await self._take(body, metadata)
        if answer.code is not grpc.StatusCode.OK:
            await context.abort(answer.code, answer.message, _trailers(answer))
        return _response(answer).SerializeToString()

    async def _export_http(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        answer = await self._take(body, {name.lower(): value for name, value in request.headers.items()})
        headers = {} if answer.retry_after_s is None else {"Retry-After": f"{answer.retry_after_s:.0f}"}
        message = _response(answer) if answer.status == 200 else Status(message=answer.message)
        return web.Response(
            status=answer.status, body=message.SerializeToString(), headers=headers, content_type=_PROTOBUF
        )

    async def _take(self, body: bytes, metadata: Mapping[str, str]) -> Answer:
        message = ExportTraceServiceRequest.FromString(body)
        spans = [span for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans]
        answer = self.script.answer(metadata, spans)
        first = spans[0].span_id if spans else b""
        self.attempts.append(Attempt(time.monotonic(), len(body), len(spans), metadata, first, answer))
        self.calls += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        begun = time.monotonic()
        try:
            if answer.hang:
                await self._released.wait()
                return _GONE
            if answer.delay_s:
                await asyncio.sleep(answer.delay_s)
        except asyncio.CancelledError:
            self._broken_off.append((begun, time.monotonic()))
            raise
        finally:
            self._at_once -= 1
        if answer.takes:
            self.ledger.refuse(spans[: answer.rejected])
            self.ledger.take(spans[answer.rejected :])
        return answer


class _Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """Takes exports as bytes: their size is of interest."""

    def __init__(self, export: Any) -> None:
        self._method = grpc.unary_unary_rpc_method_handler(export)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return self._method if details.method == _METHOD else None


def _response(answer: Answer) -> ExportTraceServiceResponse:
    response = ExportTraceServiceResponse()
    if answer.rejected or answer.message:
        response.partial_success.rejected_spans = answer.rejected
        response.partial_success.error_message = answer.message
    return response


def _trailers(answer: Answer) -> tuple[tuple[str, bytes], ...]:
    if answer.retry_after_s is None:
        return ()
    detail = AnyMessage()
    delay = Duration()
    delay.FromNanoseconds(int(answer.retry_after_s * 1e9))
    detail.Pack(RetryInfo(retry_delay=delay))
    status = Status(code=answer.code.value[0], message=answer.message, details=[detail])
    return (("grpc-status-details-bin", status.SerializeToString()),)
