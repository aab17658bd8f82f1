"""The sidecar's unix socket: frames in, acknowledgements out.

A record is acknowledged once its spans are safe in the spool. A connection belongs to one process of the
gateway; whatever breaks the protocol closes that connection and no other. The socket is the owner's alone,
and so must its peers be.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path

from otlp_tracing.errors import ConfigError, Fault, WireError
from otlp_tracing.folders import make_private, reason
from otlp_tracing.handoff.frames import Ack, Decoder, encode
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.logs.lines import LogLine
from otlp_tracing.sidecar.ingest.frame_handler import DebugSessions, FrameHandler, RateSender
from otlp_tracing.sidecar.ingest.record_sink import RecordSink
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink
from otlp_tracing.unix_sockets import listen_owner_only, refuse_foreign_peer

_closed = LimitedLog(logging.getLogger("otlp_tracing.sidecar.ingest.receiver"))

_BACKLOG = 128  # a worker tries again in a fifth of a second
# Bound on the unread rates of a peer that does not read; a later frame repeats them all.
_MAX_UNREAD_BYTES = 64 << 10
# A wake-up of this process costs more than ten records. So the records of so long are read at once, and acknowledged at
# once, which wakes the worker up. A worker keeps them meanwhile. It writes 64 KiB at once (plugin/emitter.py) and waits
# if the socket is full: after a read of so many, the next is not put off.
_GATHER_SECONDS = 0.06
_FULL_READ_BYTES = 64 << 10
# A worker writes whole frames; one that is stopped in the middle connects again and repeats.
_FRAME_SECONDS = 3.0


def bind(path: Path) -> socket.socket:
    """Listen on a unix socket that only the owner can open, in a folder of the owner.

    Raises:
        ConfigError: if the path is too long, cannot be written, or holds something that is no socket.
    """
    try:
        make_private(path.parent)
        return listen_owner_only(path, _BACKLOG)
    except FileExistsError as error:
        raise ConfigError([Fault("--listen", str(path), str(error.strerror))]) from error
    except OSError as error:
        raise ConfigError([Fault("--listen", str(path), f"cannot listen there: {reason(path, error)}")]) from error


class Receiver:
    """Receives records from the workers of the plugin server, and sends them acknowledgements and rates.

    Args:
        pipeline: processes the records.
        rates: sends the rates.
        on_warning: takes a line of the plugin server's log.
        gather_seconds: between two reads from a worker.
        sessions: runs debug sessions.
    """

    def __init__(
        self,
        pipeline: RecordSink,
        rates: RateSender,
        on_warning: Callable[[LogLine], None],
        gather_seconds: float = _GATHER_SECONDS,
        sessions: DebugSessions | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.handler = FrameHandler(pipeline, rates, on_warning, sessions)
        self.gather_seconds = gather_seconds
        self.connections: set[_Connection] = set()

    def connection(self) -> asyncio.Protocol:
        """Return the protocol of a new connection, for the event loop's server."""
        return _Connection(self)

    def close(self) -> None:
        """Close every connection; a worker keeps its unacknowledged records."""
        for connection in self.connections:
            connection.close()


class _Connection(asyncio.Protocol):
    """One connection: bytes are read, then none for a while, then again when there is room for more."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder()
        self._link = WorkerLink(b"", self._send, close=self.close)
        self._transport: asyncio.Transport | None = None
        self._patience = _Patience(self._loop, self._give_up)
        # One acknowledgement for a number covers all before it.
        self._unacknowledged: deque[tuple[int, asyncio.Future[None] | None]] = deque()
        self._is_gathering = self._is_unread = False
        self._waiting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the greeting of the owner's process; another user's connection is closed."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        try:
            refuse_foreign_peer(transport.get_extra_info("socket"))
        except PermissionError as error:
            self._refuse(error, "foreign_user")
            return
        self._receiver.connections.add(self)
        self._patience.begin()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the connection."""
        self._patience.end()
        self._transport = None
        if self._waiting is not None:
            self._waiting.cancel()
        if self in self._receiver.connections:
            self._receiver.connections.discard(self)
            self._receiver.handler.disconnect(self._link)

    def data_received(self, data: bytes) -> None:
        """Process received bytes, and put the next read off."""
        self._patience.end()
        try:
            if self._receiver.handler.take(self._link, self._decoder, data, self._acknowledge):
                self._patience.renew()
        except WireError as error:
            self._refuse(error, "bad_frame")
            return
        if self._transport is None or self._transport.is_closing():
            return
        if len(data) < _FULL_READ_BYTES:
            self._is_gathering = True
            self._loop.call_later(self._receiver.gather_seconds, self._end_gathering)
        # After a full read, the loop serves the other connections before it reads from this one again.
        self._read_on()

    def pause_writing(self) -> None:
        """Read nothing from a peer that does not read."""
        self._is_unread = True

    def resume_writing(self) -> None:
        """Read from it again."""
        self._is_unread = False
        self._read_on()

    def close(self) -> None:
        """Close the connection, after the bytes that are on their way to the peer."""
        if self._transport is not None:
            self._transport.close()

    def _end_gathering(self) -> None:
        self._is_gathering = False
        self._read_on()

    def _read_on(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        has_room = self._receiver.pipeline.has_room
        if not has_room and self._waiting is None:
            self._waiting = self._loop.create_task(self._wait_for_room())
        if self._is_gathering or self._is_unread or not has_room:
            self._transport.pause_reading()
            return
        self._transport.resume_reading()
        if self._decoder.waits:
            self._patience.begin()

    async def _wait_for_room(self) -> None:
        await self._receiver.pipeline.room()
        self._waiting = None
        self._read_on()

    def _acknowledge(self, number: int, safe: asyncio.Future[None] | None) -> None:
        """Acknowledge all records up to a number, once they and those before them are safe."""
        self._unacknowledged.append((number, safe))
        if safe is not None:
            safe.add_done_callback(self._send_acknowledgement)
        self._send_acknowledgement()

    def _send_acknowledgement(self, _: object = None) -> None:
        waiting, number = self._unacknowledged, 0
        while waiting and (waiting[0][1] is None or waiting[0][1].done()):
            number, _ = waiting.popleft()
        if number and self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(Ack(number)))

    def _send(self, data: bytes) -> None:
        if self._transport is not None and self._transport.get_write_buffer_size() < _MAX_UNREAD_BYTES:
            self._transport.write(data)

    def _give_up(self) -> None:
        self._refuse(WireError(f"nothing complete came within {_FRAME_SECONDS:g} s"), "bad_frame")

    def _refuse(self, error: Exception, reason: str) -> None:
        _closed.warning("connection closed: %s", error)
        self._receiver.pipeline.reject(reason)
        self.close()


class _Patience:
    """Limits the wait for a peer that has begun a frame, or has not greeted yet; between frames there is no limit.

    Only the time in which bytes are read counts, not that of the sidecar's own work.

    Args:
        loop: runs the connection.
        give_up: is called at the end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, give_up: Callable[[], None]) -> None:
        self._loop = loop
        self._give_up = give_up
        self._left_s = _FRAME_SECONDS
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Start to wait."""
        self.end()
        self._timer = self._loop.call_later(self._left_s, self._give_up)

    def end(self) -> None:
        """Stop to wait; the rest of the time is for the next wait."""
        if self._timer is not None:
            self._left_s = self._timer.when() - self._loop.time()
            self._timer.cancel()
            self._timer = None

    def renew(self) -> None:
        """A frame is complete: the next one has the whole time."""
        self._left_s = _FRAME_SECONDS
