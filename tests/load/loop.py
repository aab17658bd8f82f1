"""One thread, one epoll, many tasks: generators that wait for a connection's bytes, or for time to pass.

A task yields a Connection and is sent the bytes that arrive on it, b"" when the peer has closed; or it yields seconds.
The loop knows sockets and time, and no protocol. Events are taken in the order in which epoll gives them, as nginx
does, and only then the timeouts.

Source: lua-nginx-module, ngx_http_lua_socket_tcp.c (setkeepalive, keepalive_close_handler); nginx,
ngx_process_events_and_timers and ngx_epoll_process_events (time is read when epoll returns).
"""

from __future__ import annotations

import heapq
import os
import select
import socket
import time
from collections.abc import Generator
from typing import Any

Task = Generator[Any, bytes, Any]
_READ_BYTES = 64 << 10


class ReadTimeoutError(Exception):
    """Nothing arrived in time."""


class ResetError(Exception):
    """The peer has closed the connection and has not read all of our bytes."""


class UnreachableError(Exception):
    """The socket cannot be connected to."""


class Connection:
    """One connection to the plugin server."""

    __slots__ = ("buffer", "socket", "state", "waiter")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.buffer = bytearray()
        self.state: Any = None  # whatever the protocol keeps with a connection
        self.waiter: Task | None = None


class Loop:
    """Runs tasks until each has ended.

    Args:
        read_timeout: seconds between two arrivals of bytes on a connection that is waited for.
    """

    def __init__(self, read_timeout: float) -> None:
        self._read_timeout = read_timeout
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._waiting: dict[Connection, float] = {}  # to the deadline; the oldest is first
        self._sleeping: list[tuple[float, int, Task]] = []
        self._tasks = 0
        self._started = 0
        self.pools: list[Pool] = []

    def start(self, task: Task) -> None:
        """Run a task up to where it waits."""
        self._tasks += 1
        self._resume(task, None)

    def run(self) -> None:
        """Run until every task has ended."""
        while self._tasks:
            # Twice: to a process that was stopped while it waited Python says that nothing came, without a look.
            ready = self._epoll.poll(self._patience()) or self._epoll.poll(0)
            # Once, as nginx does: bytes that come while events are taken, however long that lasts, come before a
            # timeout.
            now = time.monotonic()
            for descriptor, _ in ready:
                self._receive(descriptor)
            while self._waiting and (connection := next(iter(self._waiting))) and self._waiting[connection] <= now:
                self._throw(connection, ReadTimeoutError())
            while self._sleeping and self._sleeping[0][0] <= now:
                self._resume(heapq.heappop(self._sleeping)[2], None)

    def add(self, connection: Connection) -> None:
        """Look after a new connection."""
        self._connections[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket.fileno(), select.EPOLLIN)

    def close(self, connection: Connection) -> None:
        """Close a connection that no task waits for."""
        if self._connections.pop(connection.socket.fileno(), None):
            connection.socket.close()

    def _patience(self) -> float:
        due = [self._sleeping[0][0]] if self._sleeping else []
        if self._waiting:
            due.append(next(iter(self._waiting.values())))
        return max(0.0, min(due) - time.monotonic()) if due else -1

    def _receive(self, descriptor: int) -> None:
        connection = self._connections.get(descriptor)
        if connection is None:
            return
        if connection.waiter is None:
            for pool in self.pools:
                pool.discard(connection)
            return
        try:
            data = connection.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._throw(connection, ResetError())
            return
        self._resume(self._unwait(connection), data)

    def _unwait(self, connection: Connection) -> Task:
        task, connection.waiter = connection.waiter, None
        del self._waiting[connection]
        assert task is not None
        return task

    def _throw(self, connection: Connection, error: Exception) -> None:
        self._resume(self._unwait(connection), None, error)

    def _resume(self, task: Task, data: bytes | None, error: Exception | None = None) -> None:
        try:
            wanted = task.throw(error) if error else task.send(data)  # type: ignore[arg-type]  # None starts it
        except StopIteration:
            self._tasks -= 1
            return
        if isinstance(wanted, Connection):
            wanted.waiter = task
            self._waiting[wanted] = time.monotonic() + self._read_timeout
        else:
            self._started += 1
            heapq.heappush(self._sleeping, (time.monotonic() + wanted, self._started, task))


class Pool:
    """Idle connections to one unix socket: the one used last is taken first, the oldest is closed when it is full.

    Args:
        loop: looks after them.
        path: of the socket.
        size: how many idle ones are kept (lua_socket_pool_size).
    """

    def __init__(self, loop: Loop, path: str, size: int) -> None:
        self._loop = loop
        self._path = path
        self._size = size
        self._idle: list[Connection] = []
        loop.pools.append(self)

    def take(self) -> Connection:
        """Give an idle connection, or open one.

        Raises:
            UnreachableError: no process listens, or the backlog is full.
        """
        if self._idle:
            return self._idle.pop()
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        failure = opened.connect_ex(self._path)
        if failure:
            opened.close()
            raise UnreachableError(os.strerror(failure).lower())
        connection = Connection(opened)
        self._loop.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection, even one with an outstanding answer, as Kong does."""
        self._idle.append(connection)
        if len(self._idle) > self._size:
            self.discard(self._idle[0])

    def discard(self, connection: Connection) -> None:
        """Close a connection, idle or not."""
        if connection in self._idle:
            self._idle.remove(connection)
        self._loop.close(connection)
