"""The client's side: accept connections, find out which HTTP version each speaks, hand each request to a handler.

HTTP/2 is known by its first bytes, in cleartext (prior knowledge, as gRPC does it) and over TLS alike. Knows
neither routes nor plugins.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

from otlp_tracing_devtools.fake_kong.client_side import KEEP_ALIVE_S, ClientEnd, Handler
from otlp_tracing_devtools.fake_kong.http1 import MAX_HEAD_BYTES, MessageError, read_head
from otlp_tracing_devtools.fake_kong.http1_connection import Http1Connection
from otlp_tracing_devtools.fake_kong.http2_connection import PREFACE_LINE, Http2Connection

_log = logging.getLogger("otlp_tracing_devtools.fake_kong.listener")

_MAX_CONNECTIONS = 16384  # nginx worker_connections, Kong's default


class Listener:
    """A listening socket and its connections.

    Args:
        handler: gets every request.
        tls: None for cleartext; for HTTP/2 over TLS it offers `h2` (`set_alpn_protocols`).
    """

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
        return _ClientProtocol(lambda reader, writer: self._serve(ClientEnd(reader, writer, gone)), gone)

    def _serve(self, end: ClientEnd) -> None:
        if len(self._connections) >= _MAX_CONNECTIONS:
            end.writer.close()
            return
        connection = _Connection(end, self._handler)
        task = asyncio.get_running_loop().create_task(connection.run())
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
    """One client's connection, before and after its HTTP version is known."""

    def __init__(self, end: ClientEnd, handler: Handler) -> None:
        self._end = end
        self._handler = handler
        self._speaker: Http1Connection | Http2Connection | None = None

    def close_when_idle(self) -> None:
        """Close now, or after the running request."""
        if self._speaker is None:
            self._end.writer.close()
        else:
            self._speaker.close_when_idle()

    async def run(self) -> None:
        try:
            head = await asyncio.wait_for(read_head(self._end.reader), KEEP_ALIVE_S)
            if head is not None:
                speak = Http2Connection if head.start_line == PREFACE_LINE else Http1Connection
                self._speaker = speak(self._end, self._handler)
                await self._speaker.run(head)
        except (MessageError, OSError, asyncio.TimeoutError) as error:
            _log.debug("connection ended: %s", error)
        except Exception:
            _log.exception("a handler failed; its connection is closed")
        finally:
            self._end.writer.close()
