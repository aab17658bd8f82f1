"""A client that speaks HTTP/1.1: request after request on one connection.

Knows framing and keep-alive; knows neither routes nor plugins.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from email.utils import formatdate

from otlp_tracing_devtools.fake_kong.client_side import KEEP_ALIVE_S, ClientEnd, Handler
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.http1 import Head, MessageError, body_of, chunk, encode_head, read_head

_MAX_LINE_BYTES = 8192  # of the first line and of a header; nginx large_client_header_buffers, Kong's default
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})|%00")
_MAX_DRAINED_BYTES = 1 << 20  # of an unread request body, before the connection is closed instead


class Http1Request:
    """A request over HTTP/1.1; see ClientRequest."""

    def __init__(self, head: Head, connection: Http1Connection) -> None:
        self.method, blank, rest = head.start_line.partition(" ")
        target, _, version = rest.rpartition(" ")
        self.target = _origin_form(target)
        self.http_version = 1.0 if version == "HTTP/1.0" else 1.1
        self.headers = head.headers
        self.received_bytes = head.size
        self.refusal = 0
        self.end = connection.end
        self.gone = connection.end.gone
        self._connection = connection
        self._raw_body: AsyncIterator[bytes] | None = None
        if len(head.start_line) > _MAX_LINE_BYTES:
            self._refuse_line(414)
        elif not self.method.isascii() or not _is_path(self.target) or not version.startswith("HTTP/1."):
            self.method = self.method if blank else "GET"
            self._refuse_line(400)
        else:
            self._read_headers()

    def _refuse_line(self, status: int) -> None:
        """Nginx has parsed nothing behind the method."""
        self.refusal, self.target, self.headers, self.received_bytes = status, "", Headers(), 0

    def _read_headers(self) -> None:
        lines = [*self.headers]
        for number, (name, value) in enumerate(lines):
            if len(name) + len(value) > _MAX_LINE_BYTES:
                self.refusal, self.headers = 494, Headers(lines[:number])
                return
        hosts = len(self.headers.get_all("host"))
        try:
            self._raw_body = body_of(self.end.reader, self.headers, until_close=False)
        except MessageError:
            self.refusal = 400
        if hosts > 1 or (not hosts and self.http_version > 1):
            self.refusal = 400

    @property
    def has_body(self) -> bool:
        """Whether a body was announced."""
        return self._raw_body is not None

    async def body(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece.

        Raises:
            MessageError: it is cut off or wrongly framed.
        """
        if self._raw_body is None:
            return
        if "100-continue" in self.headers.tokens("expect") and not self._connection.answering:
            self.end.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for data in self._raw_body:
            self.received_bytes += len(data)
            yield data


def _origin_form(target: str) -> str:
    """Take scheme and host off a target that names them, as nginx's $request_uri does."""
    scheme, mark, rest = target.partition("://")
    if not mark or scheme.lower() not in {"http", "https"}:
        return target
    return "/" + rest.partition("/")[2]


def _is_path(target: str) -> bool:
    return target.startswith("/") and _BAD_ESCAPE.search(target.partition("?")[0]) is None


class Http1Responder:
    """An answer over HTTP/1.1; see Responder. A body without a length is sent in chunks."""

    def __init__(self, request: Http1Request, connection: Http1Connection) -> None:
        self._request = request
        self._connection = connection
        self._chunked = False
        self.sent_bytes = 0
        asked_to_close = request.refusal or "close" in request.headers.tokens("connection")
        self.keep_alive = request.http_version >= 1.1 and not asked_to_close

    async def start(self, status: int, reason: str, headers: Headers) -> None:
        """Send the head. Framing and Connection are added here; a missing length means chunks."""
        self._connection.answering = True
        bodiless = self._request.method == "HEAD" or status in {204, 304} or status < 200
        if "content-length" not in headers and not bodiless:
            self._chunked = self._request.http_version >= 1.1
            self.keep_alive = self.keep_alive and self._chunked
        lines = [*headers]
        lines += [("Transfer-Encoding", "chunked")] if self._chunked else []
        if status != 101:
            lines.append(("Connection", "keep-alive" if self.keep_alive else "close"))
        if "date" not in headers:
            lines.append(("Date", formatdate(usegmt=True)))
        await self._send(encode_head(f"HTTP/1.1 {status} {reason}", lines))

    async def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        if data:
            await self._send(chunk(data) if self._chunked else data)

    async def finish(self, trailers: Headers) -> None:  # noqa: ARG002
        """End the body; trailers are left out, as nginx's proxy does without `proxy_pass_trailers`."""
        if self._chunked:
            await self._send(chunk(b""))

    def abandon(self) -> None:
        """Break the connection off, so that the client sees the body is not whole."""
        self.keep_alive = False
        self._connection.end.writer.transport.abort()

    def tunnel(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Give the bare connection after a 101; it is not used for HTTP again."""
        self.keep_alive = False
        return self._connection.end.reader, self._connection.end.writer

    async def _send(self, data: bytes) -> None:
        self._connection.end.writer.write(data)
        self.sent_bytes += len(data)
        await self._connection.end.writer.drain()


class Http1Connection:
    """One client's connection."""

    def __init__(self, end: ClientEnd, handler: Handler) -> None:
        self.end = end
        self.answering = False
        self._handler = handler
        self._idle = True
        self._closing = False

    def close_when_idle(self) -> None:
        """Close now, or after the running request."""
        self._closing = True
        if self._idle:
            self.end.writer.close()

    async def run(self, head: Head) -> None:
        """Answer the request with this head, and those that follow it.

        Raises:
            MessageError: the received bytes are not HTTP/1.1.
            OSError: the connection broke.
        """
        next_head: Head | None = head
        while next_head is not None and await self._serve_one(next_head) and not self._closing:
            self._idle = True
            next_head = await asyncio.wait_for(read_head(self.end.reader), KEEP_ALIVE_S)

    async def _serve_one(self, head: Head) -> bool:
        self._idle, self.answering = False, False
        request = Http1Request(head, self)
        responder = Http1Responder(request, self)
        await self._handler(request, responder)
        return responder.keep_alive and await self._drain(request.body())

    async def _drain(self, body: AsyncIterator[bytes]) -> bool:
        """Skip the rest of a body; False when it is not worth the wait."""
        skipped = 0
        async for data in body:
            skipped += len(data)
            if skipped > _MAX_DRAINED_BYTES:
                return False
        return True
