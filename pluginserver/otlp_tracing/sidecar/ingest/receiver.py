"""The sidecar's unix socket: frames in, acknowledgements out.

A record is acknowledged once its spans are safe in the spool. A connection belongs to one process of the
gateway; whatever breaks the protocol closes that connection and no other. The socket is the owner's alone,
and so must its peers be.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
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
_READ_BYTES = 256 << 10
# Bound on the unread rates of a peer that does not read; a later frame repeats them all.
_MAX_UNREAD_BYTES = 64 << 10
# A wake-up of this process costs more than ten records. So the records of so long are read at once, and acknowledged at
# once, which wakes the worker up. A worker keeps them meanwhile. It writes 64 KiB at once (plugin/emitter.py) and waits
# if the socket is full: after a read of so many, the next is not put off.
_GATHER_SECONDS = 0.02
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


class _Acknowledgements:
    """The acknowledgements of one connection, in order: one for a number covers all before it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._waiting: deque[tuple[int, asyncio.Future[None] | None]] = deque()

    def add(self, number: int, safe: asyncio.Future[None] | None) -> None:
        """Acknowledge all records up to a number, once they and those before them are safe."""
        self._waiting.append((number, safe))
        if safe is not None:
            safe.add_done_callback(lambda _: self._send())
        self._send()

    def _send(self) -> None:
        number = 0
        while self._waiting and (self._waiting[0][1] is None or self._waiting[0][1].done()):
            number, _ = self._waiting.popleft()
        if number and not self._writer.is_closing():
            self._writer.write(encode(Ack(number)))


class _Patience:
    """Limits the wait for a peer that has begun a frame, or has not greeted yet; between frames there is no limit."""

    def __init__(self) -> None:
        self._left_s = _FRAME_SECONDS

    async def read(self, reader: asyncio.StreamReader, *, waits: bool) -> bytes:
        """Read the available bytes; only the time spent here counts, not that of the sidecar's own work.

        Raises:
            WireError: if it took too long.
        """
        if not waits:
            return await reader.read(_READ_BYTES)
        begun = time.monotonic()
        try:
            return await asyncio.wait_for(reader.read(_READ_BYTES), self._left_s)
        except asyncio.TimeoutError:
            raise WireError(f"nothing complete came within {_FRAME_SECONDS:g} s") from None
        finally:
            self._left_s -= time.monotonic() - begun


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
        self._pipeline = pipeline
        self._handler = FrameHandler(pipeline, rates, on_warning, sessions)
        self._gather_seconds = gather_seconds
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        self._writers.add(writer)
        try:
            self._check_peer(writer)
            await self._take_all(reader, writer)
        except WireError as error:
            _closed.warning("connection closed: %s", error)
            self._pipeline.reject("bad_frame")
        except PermissionError as error:
            _closed.warning("connection closed: %s", error)
            self._pipeline.reject("foreign_user")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def close(self) -> None:
        """Close every connection; a worker keeps its unacknowledged records."""
        for writer in self._writers:
            writer.close()

    async def _take_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder, link = Decoder(), WorkerLink(b"", lambda data: _send(writer, data), close=writer.close)
        acknowledgements = _Acknowledgements(writer)
        patience = _Patience()
        try:
            while data := await patience.read(reader, waits=decoder.waits):
                if self._handler.take(link, decoder, data, acknowledgements.add):
                    patience = _Patience()
                await self._pipeline.room()
                await writer.drain()
                await self._gather(writer, len(data))
        finally:
            self._handler.disconnect(link)

    async def _gather(self, writer: asyncio.StreamWriter, read_bytes: int) -> None:
        if read_bytes >= _FULL_READ_BYTES:
            # A peer that always has more bytes must not starve the others.
            await asyncio.sleep(0)
            return
        transport = writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
        await asyncio.sleep(self._gather_seconds)
        transport.resume_reading()

    @staticmethod
    def _check_peer(writer: asyncio.StreamWriter) -> None:
        refuse_foreign_peer(writer.get_extra_info("socket"))


def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    if writer.transport.get_write_buffer_size() < _MAX_UNREAD_BYTES:
        writer.write(data)
