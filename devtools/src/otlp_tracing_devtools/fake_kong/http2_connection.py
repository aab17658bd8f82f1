"""A client that speaks HTTP/2: many requests at once on one connection.

Knows HTTP/2's names for the parts of HTTP/1.1's first line; knows neither routes nor plugins.

Source: RFC 9113; src/http/v2 of nginx for the handling of a request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from email.utils import formatdate

from h2.errors import ErrorCodes
from hpack import Encoder

from otlp_tracing_devtools.fake_kong.client_side import KEEP_ALIVE_S, ClientEnd, Handler
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.http1 import Head, MessageError
from otlp_tracing_devtools.fake_kong.http2 import MAX_STREAMS, Http2Stream, Http2Streams
from otlp_tracing_devtools.fake_kong.lua_values import encode_text

PREFACE_LINE = "PRI * HTTP/2.0"
"""How a client that speaks HTTP/2 begins, read as HTTP/1.1: RFC 9113, 3.4."""

_log = logging.getLogger("otlp_tracing_devtools.fake_kong.http2")

_MAX_IN_WORK = 2 * MAX_STREAMS  # a request outlives its stream by a moment; more is a client that resets at once
_MAX_REQUESTS = 10_000  # on one connection, then it is closed: nginx keepalive_requests, Kong's default


class Http2Request:
    """A request over HTTP/2; see ClientRequest."""

    http_version = 2.0
    refusal = 0

    def __init__(self, head: Headers, stream: Http2Stream, end: ClientEnd) -> None:
        self.method = head.get(":method") or ""
        self.target = head.get(":path") or ""
        if not self.method.isascii() or not self.target.startswith("/"):
            raise MessageError("the request has no method, or no path")
        self.headers = _with_host(head)
        # h2 does not tell how long the header block was; a first request's length is that of an encoding with a new
        # table.
        block = Encoder().encode([(encode_text(name), encode_text(value)) for name, value in head])
        self.received_bytes = len(block)
        self.gone = stream.gone
        self.end = end
        self._stream = stream
        self._bodiless = stream.bodiless

    @property
    def has_body(self) -> bool:
        """Whether a body was announced."""
        return not self._bodiless

    async def body(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece.

        Raises:
            MessageError: it is cut off.
        """
        async for data in self._stream.data():
            self.received_bytes += len(data)
            yield data


def _with_host(head: Headers) -> Headers:
    """Put the authority where HTTP/1.1 has it, as nginx does; leave the other pseudo-headers out."""
    lines = Headers(pair for pair in head if not pair[0].startswith(":"))
    authority = head.get(":authority")
    if authority and "host" not in lines:
        lines = Headers([("host", authority), *lines])
    return lines


class Http2Responder:
    """An answer over HTTP/2; see Responder."""

    def __init__(self, request: Http2Request, stream: Http2Stream) -> None:
        self._method = request.method
        self._stream = stream
        self._ended = False
        self.sent_bytes = 0

    async def start(self, status: int, reason: str, headers: Headers) -> None:  # noqa: ARG002
        """Send the head; it ends the answer where no body can follow, as gRPC's `trailers-only` wants it."""
        if status < 200:
            raise ConnectionResetError("HTTP/2 has no 101")
        bodiless = self._method == "HEAD" or status in {204, 304}
        self._ended = bodiless or headers.get("content-length") == "0"
        lines = [(":status", str(status)), *headers]
        if "date" not in headers:
            lines.append(("date", formatdate(usegmt=True)))
        self.sent_bytes += await self._stream.send_headers(lines, end=self._ended)

    async def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        if not self._ended:
            self.sent_bytes += await self._stream.send_data(data)

    async def finish(self, trailers: Headers) -> None:
        """End the body."""
        if self._ended:
            return
        self._ended = True
        if [*trailers]:
            self.sent_bytes += await self._stream.send_headers(trailers, end=True)
        else:
            self.sent_bytes += await self._stream.send_end()

    def abandon(self) -> None:
        """Break the stream off, so that the client sees the body is not whole."""
        self._stream.close(ErrorCodes.INTERNAL_ERROR)

    def tunnel(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Refuse: `start` did."""
        raise ConnectionResetError("HTTP/2 has no 101")


class Http2Connection:
    """One client's connection."""

    def __init__(self, end: ClientEnd, handler: Handler) -> None:
        self._end = end
        self._handler = handler
        self._requests: set[asyncio.Task[None]] = set()
        self._count = 0
        self._closing = False
        self._streams = Http2Streams(end.reader, end.writer, self._accept)

    def close_when_idle(self) -> None:
        """Close now, or after the last running request; new ones are refused."""
        self._closing = True
        if not self._requests:
            self._streams.close()

    async def run(self, preface: Head) -> None:
        """Answer requests until either side closes, then let those in work end."""
        try:
            await self._streams.run(f"{preface.start_line}\r\n\r\n".encode(), KEEP_ALIVE_S)
            if self._requests:
                await asyncio.wait(self._requests)
        finally:
            for task in self._requests:
                task.cancel()
            await asyncio.gather(*self._requests, return_exceptions=True)

    def _accept(self, stream: Http2Stream) -> None:
        self._count += 1
        if self._closing or len(self._requests) >= _MAX_IN_WORK:
            stream.close(ErrorCodes.REFUSED_STREAM)
            return
        task = asyncio.get_running_loop().create_task(self._serve(stream))
        self._requests.add(task)
        task.add_done_callback(self._done)
        if self._count >= _MAX_REQUESTS:
            self._closing = True

    def _done(self, task: asyncio.Task[None]) -> None:
        self._requests.discard(task)
        if self._closing and not self._requests:
            self._streams.close()

    async def _serve(self, stream: Http2Stream) -> None:
        try:
            head = await stream.head()
            try:
                request = Http2Request(head, stream, self._end)
            except MessageError:
                await stream.send_headers([(":status", "400"), ("content-length", "0")], end=True)
                return
            await self._handler(request, Http2Responder(request, stream))
        except (MessageError, OSError, asyncio.TimeoutError) as error:
            _log.debug("stream ended: %s", error)
        except Exception:
            _log.exception("a handler failed; its stream is broken off")
        finally:
            stream.close(ErrorCodes.INTERNAL_ERROR)
