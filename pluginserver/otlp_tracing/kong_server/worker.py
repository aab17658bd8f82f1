"""The worker's loop: one thread, one epoll, every connection from Kong.

Connections hold no state beyond their session. Garbage closes its connection and no other. A connection belongs to
the worker that has the instance of its requests. An accepted connection is assigned by the client's pid, since each
Kong worker starts its own instances. The number of an instance in a request overrides that.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Protocol

from otlp_tracing.errors import WireError
from otlp_tracing.kong_server.fd_passing import WorkerPeers
from otlp_tracing.kong_server.heartbeat import Watchdog
from otlp_tracing.kong_server.lifecycle import Lifecycle, WorkerState
from otlp_tracing.kong_server.protocol.detection import ENOUGH
from otlp_tracing.kong_server.protocol.session import Close, Forward, PreferredWorker, RpcSession
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.unix_sockets import peer_pid

_closed = LimitedLog(logging.getLogger("otlp_tracing.kong_server.worker"))

# Kong pools 256 connections a worker (lua_socket_pool_size); this leaves room for sixteen of them.
MAX_CONNECTIONS = 4096
_READ_BYTES = 16 << 10  # most of Kong's messages are far smaller; Python allocates this much for each read
_EMPTY_FRAME = bytes(4)  # over ProtoBuf; to most calls that are written ahead it is the whole answer
_TICK_SECONDS = 0.05  # nine heartbeats before a peer takes this worker for stuck
_REST_TICK_SECONDS = 0.1  # without an event: four, and each wake-up costs CPU time for nothing
_LOOK_SECONDS = 0.25
_SETTLE_SECONDS = 3.0  # before instances move to a worker that is back, because it may crash again
_PLACE_SECONDS = 1.0  # for all peers to be there before this group takes another one's place
_RETIRE_SECONDS = 10.0  # as long as Kong lets its own old workers finish after a reload
_UNUSED_SECONDS = 1.0
# Kong waits for a second, as shipped, and then asks another question on the same connection. It takes a late answer
# for the answer to that question, and the request ends with a 500 (mp_rpc.lua, "unexpected RPC response ID"). A closed
# connection lets the request pass.
LATE_SECONDS = 0.9
_END_SECONDS = 3.0
_OUT_OF_DESCRIPTORS_SECONDS = 0.01  # the listener stays ready: without a pause the loop would spin


class BackgroundTask(Protocol):
    """Work of the plugin that has a turn in the loop from time to time."""

    def pump(self) -> float:
        """Do all work that needs no waiting; return the seconds until the next turn."""

    def urgency(self) -> float | None:
        """Return the seconds until a turn that is due earlier than `pump` returned; None without one."""


OpenSession = Callable[[bytes, PreferredWorker | None], RpcSession]
"""Makes the session of a connection from its first bytes, at least detection.ENOUGH of them."""


class _Connection:
    def __init__(self, client: socket.socket, preferred_worker: PreferredWorker | None) -> None:
        self.socket = client
        self.preferred_worker = preferred_worker
        self.session: RpcSession | None = None
        self.first = b""
        self.outgoing = b""
        self.ended = False
        self.used_at = time.monotonic()
        self.is_blocked = False


class Worker:
    """Serves one listening socket together with its peers.

    Args:
        listener: bound and listening, shared by all workers.
        peers: the other workers, and this one's inbox.
        open_session: called with the first bytes of a new connection.
        sweep: called a few times a second, to free abandoned events.
        background_task: pumped after every batch of events, and when it asks for it.
        lifecycle: tells when to end.
        late_seconds: a request that has waited for longer is not answered any more.
    """

    def __init__(
        self,
        listener: socket.socket,
        peers: WorkerPeers,
        *,
        open_session: OpenSession,
        sweep: Callable[[], object],
        background_task: BackgroundTask,
        lifecycle: Lifecycle,
        late_seconds: float = LATE_SECONDS,
    ) -> None:
        self._listener = listener
        self._peers = peers
        self._open_session = open_session
        self._sweep = sweep
        self._background_task = background_task
        self._lifecycle = lifecycle
        self._late_seconds = late_seconds
        # Requests that are read from now on came after this time. A connection that waits to be accepted may be older
        # than this process, if there was no other worker to accept it.
        self._looked_at = peers.table.last_heartbeat() or time.monotonic()
        self._watchdog = Watchdog(peers.table, peers.slot)
        self._connections: dict[int, _Connection] = {}
        self._epoll = select.epoll()
        self._pid = os.getpid()
        self._state = WorkerState.SERVING
        self._look_at = 0.0
        self._place_at: float | None = None
        self._seen: dict[int, tuple[int, float]] = {}  # slot: the pid of its worker, and since when it is known
        self._end_at = float("inf")

    def run(self) -> None:
        """Serve until the lifecycle ends."""
        self._listener.setblocking(False)
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._epoll.register(self._peers.inbox.fileno(), select.EPOLLIN)
        self._place_at = time.monotonic() + _PLACE_SECONDS
        try:
            self._loop()
        finally:
            self._peers.table.write(self._peers.slot, 0, time.monotonic())
            for connection in list(self._connections.values()):
                self._close(connection)
            self._epoll.close()

    def _loop(self) -> None:
        tick_at = pump_at = wait = 0.0
        has_served = False
        while self._goes_on():
            ready = self._epoll.poll(wait)
            has_served = has_served or bool(ready)
            now = looked_at = time.monotonic()
            for descriptor, events in ready:
                self._dispatch(descriptor, events, now)
            self._looked_at = looked_at
            now = time.monotonic()
            if now >= tick_at:
                tick_at = now + (_TICK_SECONDS if has_served else _REST_TICK_SECONDS)
                has_served = False
                self._tick(now)
            urgency = self._background_task.urgency()
            if urgency is not None:
                pump_at = min(pump_at, now + urgency)
            if now >= pump_at:
                pump_at = now + self._background_task.pump()
            wait = max(0.0, min(tick_at, pump_at) - now)

    def _tick(self, now: float) -> None:
        self._peers.table.write(self._peers.slot, self._pid, now)
        self._watchdog.check()
        self._take_over()
        if self._place_at is not None and (now >= self._place_at or self._peers.table.is_full()):
            self._place_at = None
            self._lifecycle.publish_socket()
        if now >= self._look_at:
            self._look(now)

    def _goes_on(self) -> bool:
        if self._state is WorkerState.SERVING:
            return True
        return bool(self._connections) and time.monotonic() < self._end_at

    def _look(self, now: float) -> None:
        self._look_at = now + _LOOK_SECONDS
        self._sweep()
        for slot in range(self._peers.table.slots):
            pid, _ = self._peers.table.read(slot)
            if self._seen.get(slot, (0, 0.0))[0] != pid:
                self._seen[slot] = (pid, now)
        state = self._lifecycle.state()
        if state is not self._state:
            self._state = state
            self._end_at = now + (_END_SECONDS if state is WorkerState.STOPPING else _RETIRE_SECONDS)
        for connection in list(self._connections.values()):
            if connection.session is not None and connection.session.overdue:
                self._close(connection)
            elif self._state is not WorkerState.SERVING:
                self._retire(connection, now)

    def _retire(self, connection: _Connection, now: float) -> None:
        # A connection in use is left at its next event, which Kong repeats elsewhere. Closed on our own account,
        # it could be the one that Kong picks to start an instance at that moment, and that it does not repeat.
        session = connection.session
        if session is not None:
            session.retire()
        is_idle = (session is None or session.idle) and not connection.outgoing
        if is_idle and now > connection.used_at + _UNUSED_SECONDS:
            self._end(connection)

    def _dispatch(self, descriptor: int, events: int, now: float) -> None:
        connection = self._connections.get(descriptor)
        if connection is not None:
            self._serve(connection, events, now)
        elif descriptor == self._listener.fileno():
            self._accept()
        elif descriptor == self._peers.inbox.fileno():
            self._take_over_from(self._peers.slot)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError as error:
                # BlockingIOError: another worker was faster. Otherwise: no descriptor left, or the client disconnected.
                if error.errno in {errno.EMFILE, errno.ENFILE}:
                    time.sleep(_OUT_OF_DESCRIPTORS_SECONDS)
                return
            if self._is_late(self._looked_at):
                connection = self._adopt(client)
                if connection is not None:
                    self._end(connection)
            elif self._peers.hand_over(self._preferred_slot(client), client, b"", time.monotonic()):
                client.close()
            else:
                self._adopt(client)

    def _take_over(self) -> None:
        for slot in self._peers.abandoned_inboxes():
            self._take_over_from(slot)

    def _take_over_from(self, slot: int) -> None:
        while (handed := self._peers.take_over(slot)) is not None:
            client, request, handed_at = handed
            if request and self._is_late(handed_at):
                client.close()
                continue
            connection = self._adopt(client)
            if connection is not None and request:
                self._answer(connection, request, settle=True)

    def _adopt(self, client: socket.socket) -> _Connection | None:
        if len(self._connections) >= MAX_CONNECTIONS:
            client.close()  # Kong then continues without the plugin; with an open connection it would wait
            return None
        client.setblocking(False)
        connection = _Connection(client, self._preferred_worker(client))
        self._connections[client.fileno()] = connection
        self._epoll.register(client.fileno(), select.EPOLLIN)
        return connection

    def _preferred_slot(self, client: socket.socket) -> int:
        pid = peer_pid(client)
        # If the pid has no meaning, the worker that accepts a connection keeps it.
        return pid % self._peers.table.slots if pid else self._peers.slot

    def _preferred_worker(self, client: socket.socket) -> PreferredWorker | None:
        slot = self._preferred_slot(client)
        if slot == self._peers.slot:
            return None
        return lambda: slot if self._has_settled(slot) else None

    def _has_settled(self, slot: int) -> bool:
        pid, since = self._seen.get(slot, (0, 0.0))
        now = time.monotonic()
        if self._peers.table.read(slot)[0] != pid or pid == 0 or now < since + _SETTLE_SECONDS:
            return False
        return self._peers.table.is_alive(slot, now)

    def _serve(self, connection: _Connection, events: int, now: float) -> None:
        if events != select.EPOLLIN and events & select.EPOLLOUT:
            self._write(connection, b"")
            if events == select.EPOLLOUT or connection.socket.fileno() < 0:
                return
        try:
            data = connection.socket.recv(_READ_BYTES)
            if len(data) == len(_EMPTY_FRAME) and data != _EMPTY_FRAME:
                data += self._rest(connection)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection.used_at = now
        if data and connection.ended:
            return  # read, so that Kong sees an end and no reset, and repeats the event elsewhere
        if data and not self._is_late(self._looked_at):
            self._answer(connection, data)
        else:
            self._close(connection)

    def _is_late(self, since: float) -> bool:
        return time.monotonic() > since + self._late_seconds

    @staticmethod
    def _rest(connection: _Connection) -> bytes:
        # Over ProtoBuf Kong writes a frame's length and the frame apart; most often both are there by now.
        try:
            return connection.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return b""

    def _answer(self, connection: _Connection, data: bytes, *, settle: bool = False) -> None:
        session = connection.session
        if session is None:
            data = connection.first + data
            if len(data) < ENOUGH:
                connection.first = data
                return
            session = connection.session = self._open_session(data, connection.preferred_worker)
            if self._state is not WorkerState.SERVING:
                session.retire()
        try:
            answer = session.receive(data, settle=settle)
        except WireError as error:
            _closed.warning("connection closed: %s", error)
            self._close(connection)
            return
        if isinstance(answer, bytes):
            if answer:
                self._write(connection, answer)
        elif isinstance(answer, Close):
            self._close(connection)
        else:
            self._forward(connection, answer)

    def _forward(self, connection: _Connection, forward: Forward) -> None:
        if self._peers.hand_over(forward.slot, connection.socket, forward.request, time.monotonic()):
            self._close(connection)
        else:
            self._answer(connection, forward.request, settle=True)

    def _write(self, connection: _Connection, answer: bytes) -> None:
        outgoing = connection.outgoing + answer if connection.outgoing else answer
        try:
            sent = connection.socket.send(outgoing)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        connection.outgoing = outgoing[sent:]
        if connection.is_blocked != bool(connection.outgoing):
            connection.is_blocked = not connection.is_blocked
            wanted = select.EPOLLIN | (select.EPOLLOUT if connection.is_blocked else 0)
            self._epoll.modify(connection.socket.fileno(), wanted)

    def _end(self, connection: _Connection) -> None:
        """Say that nothing more comes; Kong closes the connection when it sees it."""
        if not connection.ended:
            connection.ended = True
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_WR)

    def _close(self, connection: _Connection) -> None:
        if self._connections.pop(connection.socket.fileno(), None) is None:
            return
        with contextlib.suppress(OSError):
            self._epoll.unregister(connection.socket.fileno())
        if connection.session is not None:
            connection.session.close()
        connection.socket.close()
