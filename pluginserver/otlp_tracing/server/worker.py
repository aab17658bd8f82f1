"""The worker's loop: one thread, one selector, every connection from Kong.

A connection carries one call at a time, but a phase's calls may come over several; so connections hold
no state beyond their bytes. Garbage closes its connection and no other.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
from collections.abc import Callable
from typing import Protocol

from otlp_tracing.errors import WireError
from otlp_tracing.limited_log import LimitedLog
from otlp_tracing.server.plugin_host import PluginHost
from otlp_tracing.server.rpc_msgpack import Decoder

__all__ = ["SideChannel", "Worker"]

_closed = LimitedLog(logging.getLogger("otlp_tracing.server.worker"))

# Kong pools 256 connections a worker (lua_socket_pool_size); this leaves room for sixteen of them.
MAX_CONNECTIONS = 4096
_READ_BYTES = 64 << 10
_SWEEP_SECONDS = 1.0


class SideChannel(Protocol):
    """Something of the plugin's that wants a turn in the loop."""

    def pump(self) -> float:
        """Do what can be done at once; return the seconds until the next turn is wanted."""


class _Connection:
    def __init__(self, peer: socket.socket) -> None:
        self.socket = peer
        self.decoder = Decoder()
        self.outgoing = b""


class Worker:
    """Serves one listening socket.

    Args:
        listener: bound and listening; the worker does not own it.
        host: answers the requests.
        side_channel: pumped after every batch of events, and when it asks for it.
        stopping: asked in every turn; the loop ends once it says so and no event is under way.
    """

    def __init__(
        self,
        listener: socket.socket,
        host: PluginHost,
        side_channel: SideChannel,
        stopping: Callable[[], bool],
    ) -> None:
        self._listener = listener
        self._host = host
        self._side_channel = side_channel
        self._stopping = stopping
        self._selector = selectors.DefaultSelector()
        self._connections: set[_Connection] = set()

    def run(self) -> None:
        """Serve until told to stop."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        wait = 0.0
        try:
            while not self._stopping():
                for key, events in self._selector.select(min(wait, _SWEEP_SECONDS)):
                    if key.data is None:
                        self._accept()
                    else:
                        self._serve(key.data, events)
                self._host.free_abandoned()
                wait = self._side_channel.pump()
        finally:
            for connection in list(self._connections):
                self._close(connection)
            self._selector.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                # BlockingIOError: another worker was faster. Else: out of descriptors, or the peer is gone.
                return
            if len(self._connections) >= MAX_CONNECTIONS:
                peer.close()  # Kong then goes on without the plugin; left in the queue it would wait
                continue
            peer.setblocking(False)
            connection = _Connection(peer)
            self._connections.add(connection)
            self._selector.register(peer, selectors.EVENT_READ, connection)

    def _serve(self, connection: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                self._read(connection)
            if connection in self._connections:
                self._write(connection)
        except WireError as error:
            _closed.warning("closed a connection: %s", error)
            self._close(connection)
        except OSError:
            self._close(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._close(connection)
            return
        for request in connection.decoder.feed(data):
            connection.outgoing += self._host.answer(request)

    def _write(self, connection: _Connection) -> None:
        if connection.outgoing:
            with contextlib.suppress(BlockingIOError):
                sent = connection.socket.send(connection.outgoing)
                connection.outgoing = connection.outgoing[sent:]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.outgoing else 0)
        if self._selector.get_key(connection.socket).events != wanted:
            self._selector.modify(connection.socket, wanted, connection)

    def _close(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()
