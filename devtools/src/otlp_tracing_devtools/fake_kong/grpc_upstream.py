"""A gRPC upstream: one attempt to send a request to one address over HTTP/2 and read the answer.

A connection of its own per attempt, in cleartext with prior knowledge or over TLS. The request's body streams while
the answer comes, because a gRPC call may stream both ways. Knows nothing of retries, nor of plugins.

Source: ngx_http_grpc_module of nginx.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

from h2.errors import ErrorCodes

from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.http1 import MessageError
from otlp_tracing_devtools.fake_kong.http2 import Http2Stream, Http2Streams
from otlp_tracing_devtools.fake_kong.upstream import Timeouts, UpstreamError, UpstreamRequest, connect, received


class _GrpcAnswer:
    """An answer over HTTP/2; see UpstreamAnswer."""

    reason = ""

    def __init__(self, head: Headers, call: _Call) -> None:
        status = head.get(":status") or ""
        if not (status.isdigit() and len(status) == 3):
            raise MessageError("the answer has no status")
        self.status = int(status)
        self.headers = Headers(pair for pair in head if not pair[0].startswith(":"))
        if call.stream.bodiless:
            self.headers.set("content-length", "0")  # nginx says so, and gRPC's trailers-only keeps its form
        self._call = call

    @property
    def trailers(self) -> Headers:
        """Lines that followed the body: `grpc-status` among them."""
        return self._call.stream.trailers

    async def body(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece.

        Raises:
            UpstreamError: it is cut off, or nothing came for the read timeout.
        """
        async for data in received(self._call.stream.data(), self._call.timeouts.read_s):
            yield data

    async def close(self) -> None:
        """Be done with it, whatever has been read of the body."""
        await self._call.close()

    def tunnel(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Refuse: HTTP/2 has no 101."""
        raise ConnectionResetError("HTTP/2 has no 101")


class _Call:
    """A request on its way, with its connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: UpstreamRequest, timeouts: Timeouts
    ) -> None:
        self.timeouts = timeouts
        self._streams = Http2Streams(reader, writer)
        self.stream: Http2Stream = self._streams.open()
        self._reading = asyncio.ensure_future(self._streams.run())
        self._sending = asyncio.ensure_future(self._send(request))

    async def answer(self) -> _GrpcAnswer:
        """Wait for the head; the read timeout starts when the request is out, and an answer may come before that."""
        head = asyncio.ensure_future(self.stream.head())
        waited_for: set[asyncio.Future[Any]] = {head, self._sending}
        try:
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
            return _GrpcAnswer(await asyncio.wait_for(head, self.timeouts.read_s), self)
        except asyncio.TimeoutError:
            raise UpstreamError(504, "no answer in time", sent=True) from None
        except (MessageError, OSError) as error:
            raise UpstreamError(502, str(error), sent=True) from None
        finally:
            head.cancel()

    async def close(self) -> None:
        self._sending.cancel()
        self.stream.close(ErrorCodes.CANCEL)
        self._streams.close()
        await asyncio.gather(self._sending, self._reading, return_exceptions=True)

    async def _send(self, request: UpstreamRequest) -> None:
        await self.stream.send_headers(_head_lines(request), end=request.body is None)
        if request.body is None:
            return
        async for data in request.body():
            await asyncio.wait_for(self.stream.send_data(data), self.timeouts.write_s)
        await self.stream.send_end()


async def exchange(
    ip: str, port: int, request: UpstreamRequest, timeouts: Timeouts, tls: ssl.SSLContext | None = None
) -> _GrpcAnswer:
    """Send a request and give its answer, to be closed by the caller.

    Raises:
        UpstreamError: no answer's head arrived.
    """
    if tls:
        tls.set_alpn_protocols(["h2"])
    call = _Call(*await connect(ip, port, request, timeouts, tls), request, timeouts)
    try:
        return await call.answer()
    except BaseException:
        await call.close()
        raise


def _head_lines(request: UpstreamRequest) -> Headers:
    lines = request.headers.copy()
    authority = lines.get("host") or ""
    lines.remove("host", "content-length")
    pseudo = [(":method", request.method), (":path", request.target), (":scheme", "http"), (":authority", authority)]
    return Headers([*pseudo, *lines])
