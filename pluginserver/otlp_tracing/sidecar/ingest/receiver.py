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
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from otlp_tracing.errors import ConfigError, Fault, WireError
from otlp_tracing.folders import make_private, reason
from otlp_tracing.handoff.frames import (
    RATES_SINCE,
    Ack,
    Config,
    Decoder,
    Frame,
    Hello,
    Record,
    Totals,
    Warnings,
    encode,
)
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.logs.lines import LogLine
from otlp_tracing.metrics import Total
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink
from otlp_tracing.unix_sockets import listen_owner_only, refuse_foreign_peer

_closed = LimitedLog(logging.getLogger("otlp_tracing.sidecar.ingest.receiver"))

_BACKLOG = 128  # a worker tries again in a fifth of a second
_READ_BYTES = 256 << 10
# Bound on the unread rates of a peer that does not read; a later frame repeats them all.
_MAX_UNREAD_BYTES = 64 << 10
_MAX_WORKERS = 1024  # workers remembered, to recognize records that they send twice
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


class RecordSink(Protocol):
    """Processes records; the pipeline."""

    def configure(self, key: bytes, config: bytes) -> None:
        """Register a plugin entry's configuration."""

    def knows(self, key: bytes) -> bool:
        """Tell whether an entry's configuration is registered."""

    def take(self, key: bytes, log: bytes, worker_id: bytes) -> None:
        """Process one request's record."""

    def flush(self, worker_id: bytes, number: int) -> asyncio.Future[None] | None:
        """Make the records up to a number safe; return a future that is done then, None if they are."""

    async def room(self) -> None:
        """Wait while there is no room for more."""

    def reject(self, reason: str) -> None:
        """Count a record, or the rest of a connection, that is rejected."""

    def report(self, worker_id: bytes, totals: Sequence[Total]) -> None:
        """Add the counts of a worker since its start."""

    def last_number(self, worker_id: bytes) -> int:
        """Return the number of a worker's last record that an earlier sidecar made safe; otherwise 0."""


class RateSender(Protocol):
    """Sends the workers their rates; the sampling controller."""

    def connect(self, link: WorkerLink) -> None:
        """Add a worker that understands rates."""

    def announce(self, link: WorkerLink, key: bytes) -> None:
        """Note that a worker has requests of an entry."""

    def disconnect(self, link: WorkerLink) -> None:
        """Remove a closed connection."""


class Receiver:
    """Receives records from the workers of the plugin server, and sends them acknowledgements and rates.

    Args:
        pipeline: processes the records.
        rates: sends the rates.
        on_warning: takes a line of the plugin server's log.
    """

    def __init__(self, pipeline: RecordSink, rates: RateSender, on_warning: Callable[[LogLine], None]) -> None:
        self._pipeline = pipeline
        self._rates = rates
        self._on_warning = on_warning
        self._taken: OrderedDict[bytes, int] = OrderedDict()
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
        decoder, link = Decoder(), WorkerLink(b"", lambda data: _send(writer, data))
        acknowledgements = _Acknowledgements(writer)
        patience = _Patience()
        try:
            while data := await patience.read(reader, waits=decoder.waits):
                if self._take_frames(link, decoder, data, acknowledgements):
                    patience = _Patience()
                await self._pipeline.room()
                await writer.drain()
                # The calls above rarely wait: without this, a peer that always has more bytes would starve the others.
                await asyncio.sleep(0)
        finally:
            self._rates.disconnect(link)

    def _take_frames(self, link: WorkerLink, decoder: Decoder, data: bytes, acknowledgements: _Acknowledgements) -> int:
        """Process the complete frames, and return their number."""
        last = frames = 0
        try:
            for frame in decoder.feed(data):
                frames += 1
                last = self._take(link, frame) or last
        finally:
            # The records before a broken frame were processed.
            if last:
                acknowledgements.add(last, self._pipeline.flush(link.worker_id, last))
        return frames

    def _take(self, link: WorkerLink, frame: Frame) -> int | None:
        match frame:
            case Hello(version, worker_id):
                link.worker_id = worker_id
                self._recall(worker_id)
                if version >= RATES_SINCE:
                    self._rates.connect(link)
            case Config(key, config):
                self._pipeline.configure(key, config)
                self._rates.announce(link, key)
            case Totals(totals):
                self._pipeline.report(link.worker_id, totals)
            case Warnings(lines):
                for line in lines:
                    self._on_warning(line)
            case Record(number, key, log):
                # After a lost connection a worker repeats its unacknowledged records.
                if number > self._taken.get(link.worker_id, 0):
                    if not self._pipeline.knows(key):
                        # Evicted for later ones: a worker that connects again sends its configurations again.
                        raise WireError("a record of an unknown or evicted configuration")
                    self._pipeline.take(key, log, link.worker_id)
                    self._remember(link.worker_id, number)
                return number
        return None

    def _recall(self, worker_id: bytes) -> None:
        # A worker repeats records that an earlier sidecar had spooled but could no longer acknowledge.
        number = self._pipeline.last_number(worker_id)
        if worker_id not in self._taken and number:
            self._remember(worker_id, number)

    def _remember(self, worker_id: bytes, number: int) -> None:
        self._taken[worker_id] = number
        self._taken.move_to_end(worker_id)
        if len(self._taken) > _MAX_WORKERS:
            self._taken.popitem(last=False)

    @staticmethod
    def _check_peer(writer: asyncio.StreamWriter) -> None:
        refuse_foreign_peer(writer.get_extra_info("socket"))


def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    if writer.transport.get_write_buffer_size() < _MAX_UNREAD_BYTES:
        writer.write(data)
