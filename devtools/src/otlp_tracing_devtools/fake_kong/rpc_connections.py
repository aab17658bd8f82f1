"""Connections to a plugin server, pooled as nginx pools cosockets.

The connection used last is used first; more than `pool_size` idle ones are not kept; an idle one is
closed after 60 s, and at once when anything arrives on it. One call at a time per connection.

Source: lua-nginx-module, ngx_http_lua_socket_tcp.c, set_keepalive and keepalive_close_handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from otlp_tracing.errors import WireError
from otlp_tracing_devtools.fake_kong.plugin_rpc import RpcError

_POOL_SIZE = 256  # nginx_http_lua_socket_pool_size, Kong 3.9's default
_IDLE_S = 60.0  # lua_socket_keepalive_timeout, nginx's default


class StreamDecoder(Protocol):
    """Bytes in, messages out; both raise WireError for invalid ones."""

    def feed(self, data: bytes) -> None:
        """Take received bytes."""

    def next_message(self) -> Any | None:
        """Give the next whole message; None when more bytes are needed."""


class PluginConnection(asyncio.Protocol):
    """One connection; `idle` while it lies in the pool."""

    def __init__(self, on_unexpected: Callable[[PluginConnection], None], decoder: StreamDecoder) -> None:
        self._on_unexpected = on_unexpected
        self._decoder = decoder
        self._arrived = asyncio.Event()
        self._failure: WireError | None = None
        self._end = "closed"
        self._transport: asyncio.Transport | None = None
        self.idle_timer: asyncio.TimerHandle | None = None
        self.idle = False
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; called by the event loop."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take bytes; called by the event loop."""
        if self.idle:
            self._on_unexpected(self)
            return
        try:
            self._decoder.feed(data)
        except WireError as error:
            self._failure = error
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the waiting tasks; called by the event loop."""
        self.closed = True
        if isinstance(exc, OSError):
            self._end = (exc.strerror or str(exc)).lower()
        self._arrived.set()
        if self.idle:
            self._on_unexpected(self)

    def send(self, data: bytes) -> None:
        """Send a whole call."""
        if self._transport is not None:
            self._transport.write(data)

    async def receive(self, timeout_s: float) -> Any:
        """Wait for the next message.

        Args:
            timeout_s: holds between two arrivals of bytes, not for the message.

        Raises:
            RpcError: "timeout" when nothing came in time, "closed" or "connection reset by peer".
            WireError: the bytes are no message.
        """
        while True:
            if self._failure:
                raise self._failure
            message = self._decoder.next_message()
            if message is not None:
                return message
            if self.closed:
                raise RpcError(self._end)
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), timeout_s)
            except asyncio.TimeoutError:
                raise RpcError("timeout") from None

    def close(self) -> None:
        """Close at once."""
        self.closed = True
        if self.idle_timer:
            self.idle_timer.cancel()
        if self._transport is not None:
            self._transport.abort()


class ConnectionPool:
    """Connections to one unix socket."""

    def __init__(self, socket: Path, decoder: Callable[[], StreamDecoder]) -> None:
        self._socket = socket
        self._decoder = decoder
        self._idle: list[PluginConnection] = []
        self._open: set[PluginConnection] = set()

    async def acquire(self) -> PluginConnection:
        """Give an idle connection, the one used last, or open one.

        Raises:
            RpcError: the socket cannot be connected to.
        """
        if self._idle:
            connection = self._idle.pop()
            connection.idle = False
            if connection.idle_timer:
                connection.idle_timer.cancel()
            return connection
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(
                lambda: PluginConnection(self.discard, self._decoder()), str(self._socket)
            )
        except OSError as error:
            raise RpcError((error.strerror or str(error)).lower()) from None
        self._open.add(connection)
        return connection

    def release(self, connection: PluginConnection) -> None:
        """Keep a connection for the next call, even one with an outstanding answer, as Kong does."""
        if connection.closed:
            self.discard(connection)
            return
        connection.idle = True
        connection.idle_timer = asyncio.get_running_loop().call_later(_IDLE_S, self.discard, connection)
        self._idle.append(connection)
        if len(self._idle) > _POOL_SIZE:
            self.discard(self._idle[0])

    def discard(self, connection: PluginConnection) -> None:
        """Close a connection and forget it."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        connection.close()

    def close(self) -> None:
        """Close every connection, in use or not."""
        for connection in tuple(self._open):
            self.discard(connection)
