"""The sidecar's unix socket: frames in, acknowledgements out.

A record is acknowledged once its spans are safe in the spool. A connection belongs to one process of the
gateway; whatever breaks the protocol closes that connection and no other. The socket is the owner's alone,
and so must its peers be.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import stat
import time
from collections import OrderedDict, deque
from pathlib import Path

from otlp_tracing.errors import ConfigError, Fault, WireError
from otlp_tracing.handoff.frames import RATES_SINCE, Ack, Config, Decoder, Frame, Hello, Record, Totals, encode
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.metrics import RECORDS_REFUSED
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.pipeline import Pipeline
from otlp_tracing.sidecar.tail.controller import Link, RateKeeper
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.unix_sockets import bind_owner_only, refuse_foreign_peer

__all__ = ["Receiver", "bind"]

_closed = LimitedLog(logging.getLogger("otlp_tracing.sidecar.ingest.receiver"))

_READ_BYTES = 256 << 10
# What a peer that does not read is sent of rates; a later frame says it all again.
_MAX_UNREAD_BYTES = 64 << 10
_MAX_SENDERS = 1024  # processes of the gateway remembered, for what they send twice
# A gateway's process writes whole frames; one that is stopped in the middle connects again and repeats.
_FRAME_SECONDS = 3.0


def bind(path: Path) -> socket.socket:
    """Listen on a unix socket of the owner's, in a folder of the owner's.

    Raises:
        ConfigError: if the path is too long, cannot be written, or holds something that is no socket.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise ConfigError([Fault("--listen", str(path), "is there already and is not a socket; move it away")])
            path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bind_owner_only(listener, path)
        listener.listen(128)
    except OSError as error:
        raise ConfigError([Fault("--listen", str(path), f"cannot listen there: {error.strerror or error}")]) from error
    return listener


class _Acknowledgements:
    """Those of one connection, in order: one for a number stands for all before it."""

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
    """How long a peer is waited for that has begun a frame, or has not greeted yet; between frames it has all time."""

    def __init__(self) -> None:
        self._left_s = _FRAME_SECONDS

    async def read(self, reader: asyncio.StreamReader, *, waits: bool) -> bytes:
        """Read what is there; only the time that is spent here counts, not what the sidecar itself takes.

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
    """Takes records over from every process of the gateway, and gives it what rates.py has for it."""

    def __init__(self, pipeline: Pipeline, rates: RateKeeper, exporters: ExporterRegistry, metrics: Metrics) -> None:
        self._pipeline = pipeline
        self._rates = rates
        self._exporters = exporters
        self._metrics = metrics
        self._taken: OrderedDict[bytes, int] = OrderedDict()
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        self._writers.add(writer)
        try:
            self._check_peer(writer)
            await self._take_all(reader, writer)
        except WireError as error:
            _closed.warning("closed a connection: %s", error)
            self._metrics.add(RECORDS_REFUSED, "bad_frame")
        except PermissionError as error:
            _closed.warning("closed a connection: %s", error)
            self._metrics.add(RECORDS_REFUSED, "foreign_user")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def close(self) -> None:
        """Close every connection; what was not acknowledged stays with its sender."""
        for writer in self._writers:
            writer.close()

    async def _take_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder, link = Decoder(), Link(b"", lambda data: _send(writer, data))
        acknowledgements = _Acknowledgements(writer)
        patience = _Patience()
        try:
            while data := await patience.read(reader, waits=decoder.waits):
                if self._take_frames(link, decoder, data, acknowledgements):
                    patience = _Patience()
                await self._exporters.spool.room()
                await writer.drain()
                # None of these has to wait, as a rule: a peer that always has more would leave nobody else a turn.
                await asyncio.sleep(0)
        finally:
            self._rates.disconnect(link)

    def _take_frames(self, link: Link, decoder: Decoder, data: bytes, acknowledgements: _Acknowledgements) -> int:
        """Take what is complete, and return how many frames that was."""
        last = frames = 0
        try:
            for frame in decoder.feed(data):
                frames += 1
                last = self._take(link, frame) or last
        finally:
            # What came before a broken frame was taken all the same.
            if last:
                acknowledgements.add(last, self._exporters.save(link.process, last))
        return frames

    def _take(self, link: Link, frame: Frame) -> int | None:
        match frame:
            case Hello(version, sender):
                link.process = sender
                self._recall(sender)
                if version >= RATES_SINCE:
                    self._rates.connect(link)
            case Config(key, config):
                self._pipeline.configure(key, config)
                self._rates.announce(link, key)
            case Totals(totals):
                self._metrics.report(link.process, totals)
            case Record(number, key, log):
                # After a lost connection a sender repeats what it has no acknowledgement for.
                if number > self._taken.get(link.process, 0):
                    if not self._pipeline.knows(key):
                        # Forgotten for others that came later: a sender that connects again tells it again.
                        raise WireError("a record of a configuration that is not known, or not any more")
                    self._pipeline.take(key, log, link.process)
                    self._remember(link.process, number)
                return number
        return None

    def _recall(self, sender: bytes) -> None:
        # What an earlier process had spooled and could not acknowledge any more comes again.
        if sender not in self._taken and sender in self._exporters.senders:
            self._remember(sender, self._exporters.senders[sender])

    def _remember(self, sender: bytes, number: int) -> None:
        self._taken[sender] = number
        self._taken.move_to_end(sender)
        if len(self._taken) > _MAX_SENDERS:
            self._taken.popitem(last=False)

    @staticmethod
    def _check_peer(writer: asyncio.StreamWriter) -> None:
        refuse_foreign_peer(writer.get_extra_info("socket"))


def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    if writer.transport.get_write_buffer_size() < _MAX_UNREAD_BYTES:
        writer.write(data)
