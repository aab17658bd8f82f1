"""The client's side: accept HTTP/1.1 connections, hand each request to a handler.

Knows framing, keep-alive and when a client has gone; knows neither routes nor plugins. A handler sees
`ClientRequest` and `Responder` only, so another HTTP version can stand beside this module.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus

from otlp_tracing.testing.gateway.headers import Headers
from otlp_tracing.testing.gateway.http1 import (
    MAX_HEAD_BYTES,
    Head,
    MessageError,
    body_of,
    chunk,
    encode_head,
    read_head,
)

__all__ = ["ClientRequest", "Handler", "Listener", "Responder", "reason_of"]

_log = logging.getLogger("otlp_tracing.testing.gateway.listener")

_KEEP_ALIVE_S = 60.0  # how long a client may stay idle; nginx keepalive_timeout, Kong's default
_MAX_CONNECTIONS = 16384  # nginx worker_connections, Kong's default
_MAX_DRAINED_BYTES = 1 << 20  # of a request body nobody wanted, before the connection is closed instead


def reason_of(status: int) -> str:
    """Give a status code's usual phrase; empty for a code without one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


class ClientRequest:
    """A request as it came in; the body is read at most once.

    `target` is the request target as sent. `gone` is set when the client closed its side.
    """

    def __init__(self, head: Head, connection: _Connection) -> None:
        method, _, rest = head.start_line.partition(" ")
        self.method = method
        target, _, version = rest.rpartition(" ")
        self.target = _origin_form(target)
        if not self.method.isascii() or not self.target or not version.startswith("HTTP/1."):
            raise MessageError("the request line is not `METHOD target HTTP/1.x`")
        self.http_version = float(version.removeprefix("HTTP/"))
        self.headers = head.headers
        self.received_bytes = head.size
        self.gone = connection.gone
        self.client_ip, self.client_port = connection.peer
        self.server_port = connection.server_port
        self.tls = connection.tls
        self._connection = connection
        self._raw_body = body_of(connection.reader, head.headers, until_close=False)

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
        if "100-continue" in self.headers.tokens("expect") and self._connection.responder is None:
            self._connection.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for data in self._raw_body:
            self.received_bytes += len(data)
            yield data


def _origin_form(target: str) -> str:
    """Take scheme and host off a target that names them, as nginx's $request_uri does."""
    scheme, mark, rest = target.partition("://")
    if not mark or scheme.lower() not in {"http", "https"}:
        return target
    return "/" + rest.partition("/")[2]


class Responder:
    """The answer to one request: `start`, any number of `write`, `finish`."""

    def __init__(self, request: ClientRequest, connection: _Connection) -> None:
        self._request = request
        self._connection = connection
        self._chunked = False
        self.sent_bytes = 0
        self.started = False
        self.keep_alive = request.http_version >= 1.1 and "close" not in request.headers.tokens("connection")

    async def start(self, status: int, reason: str, headers: Headers) -> None:
        """Send the head. Framing and Connection are added here; a missing length means chunks."""
        self.started = True
        self._connection.responder = self
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

    async def finish(self) -> None:
        """End the body."""
        if self._chunked:
            await self._send(chunk(b""))

    def abandon(self) -> None:
        """Break the connection off, so that the client sees the body is not whole."""
        self.keep_alive = False
        self._connection.writer.transport.abort()

    def tunnel(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Give the bare connection after a 101; it is not used for HTTP again."""
        self.keep_alive = False
        return self._connection.reader, self._connection.writer

    async def _send(self, data: bytes) -> None:
        self._connection.writer.write(data)
        self.sent_bytes += len(data)
        await self._connection.writer.drain()


Handler = Callable[[ClientRequest, Responder], Awaitable[None]]


class Listener:
    """A listening socket and its connections."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}

    @property
    def url(self) -> str:
        """The address, as `http://127.0.0.1:8000`."""
        if self._server is None:
            raise RuntimeError("the listener has not started")
        host, port = self._server.sockets[0].getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{name}:{port}"

    async def start(self, host: str, port: int) -> None:
        """Bind and accept; port 0 takes a free one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, port, ssl=self._tls)

    async def stop(self, grace_s: float = 1.0) -> None:
        """Stop accepting; let requests in work end within `grace_s`, then break them off."""
        if self._server is None:
            return
        self._server.close()
        for connection in self._connections.values():
            connection.close_when_idle()
        if self._connections:
            await asyncio.wait(self._connections, timeout=grace_s)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def _accept(self) -> asyncio.StreamReaderProtocol:
        gone = asyncio.Event()
        return _ClientProtocol(lambda reader, writer: self._serve(reader, writer, gone), gone)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gone: asyncio.Event) -> None:
        if len(self._connections) >= _MAX_CONNECTIONS:
            writer.close()
            return
        connection = _Connection(reader, writer, gone)
        task = asyncio.get_running_loop().create_task(connection.run(self._handler))
        self._connections[task] = connection
        task.add_done_callback(self._connections.pop)


class _ClientProtocol(asyncio.StreamReaderProtocol):
    """Sets an event when the client closes: nginx, too, takes a half-closed connection for an aborted one."""

    def __init__(
        self, connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None], gone: asyncio.Event
    ) -> None:
        super().__init__(asyncio.StreamReader(limit=MAX_HEAD_BYTES), connected)
        self._gone = gone

    def eof_received(self) -> bool | None:
        self._gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()
        super().connection_lost(exc)


class _Connection:
    """One client's connection, request after request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gone: asyncio.Event) -> None:
        self.reader = reader
        self.writer = writer
        self.gone = gone
        self.peer: tuple[str, int] = writer.get_extra_info("peername")[:2]
        self.server_port: int = writer.get_extra_info("sockname")[1]
        self.tls: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        self.responder: Responder | None = None
        self._idle = True
        self._closing = False

    def close_when_idle(self) -> None:
        """Close now if no request is in work, else after it."""
        self._closing = True
        if self._idle:
            self.writer.close()

    async def run(self, handler: Handler) -> None:
        try:
            while not self._closing and await self._serve_one(handler):
                pass
        except (MessageError, OSError, asyncio.TimeoutError) as error:
            _log.debug("connection ended: %s", error)
        except Exception:
            _log.exception("a handler failed; its connection is closed")
        finally:
            self.writer.close()

    async def _serve_one(self, handler: Handler) -> bool:
        self._idle, self.responder = True, None
        head = await asyncio.wait_for(read_head(self.reader), _KEEP_ALIVE_S)
        if head is None:
            return False
        self._idle = False
        try:
            request = ClientRequest(head, self)
        except MessageError:
            self.writer.write(encode_head("HTTP/1.1 400 Bad Request", [("Content-Length", "0")]))
            raise
        responder = Responder(request, self)
        await handler(request, responder)
        return responder.keep_alive and await self._drain(request.body())

    async def _drain(self, body: AsyncIterator[bytes]) -> bool:
        """Skip what is left of a body; False when it is not worth the wait."""
        skipped = 0
        async for data in body:
            skipped += len(data)
            if skipped > _MAX_DRAINED_BYTES:
                return False
        return True
