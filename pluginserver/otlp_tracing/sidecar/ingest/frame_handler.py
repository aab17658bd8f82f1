"""Takes the frames of the workers: configurations, records, counts and warnings."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from otlp_tracing.errors import WireError
from otlp_tracing.handoff.frames import (
    RATES_SINCE,
    VERSION,
    Config,
    Debug,
    Decoder,
    Frame,
    Hello,
    Record,
    Refused,
    Totals,
    Warnings,
)
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.logs.lines import LogLine
from otlp_tracing.sidecar.ingest.record_sink import RecordSink
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink

_newer = LimitedLog(logging.getLogger("otlp_tracing.sidecar.ingest.frame_handler"))

_MAX_WORKERS = 1024  # workers remembered, to recognize records that they send twice


class RateSender(Protocol):
    """Sends the workers their rates; the sampling controller."""

    def connect(self, link: WorkerLink) -> None:
        """Add a worker that understands rates."""

    def announce(self, link: WorkerLink, key: bytes) -> None:
        """Note that a worker has requests of an entry."""

    def disconnect(self, link: WorkerLink) -> None:
        """Remove a closed connection."""


class DebugSessions(Protocol):
    """Runs debug sessions; the policies in force."""

    def start_session(self, link: WorkerLink, debug: Debug) -> None:
        """Begin a session, or close the connection."""

    def end_session(self, link: WorkerLink) -> None:
        """End the session of a connection, if it has one."""


class FrameHandler:
    """Takes the frames of all workers; each record of a worker once, although it repeats what was not acknowledged.

    Args:
        pipeline: processes the records.
        rates: sends the rates.
        on_warning: takes a line of the plugin server's log.
        sessions: runs debug sessions.
    """

    def __init__(
        self,
        pipeline: RecordSink,
        rates: RateSender,
        on_warning: Callable[[LogLine], None],
        sessions: DebugSessions | None = None,
    ) -> None:
        self._sessions: Final = sessions
        self._pipeline: Final = pipeline
        self._rates: Final = rates
        self._on_warning: Final = on_warning
        self._taken: Final[OrderedDict[bytes, int]] = OrderedDict()

    def take(
        self,
        link: WorkerLink,
        decoder: Decoder,
        data: bytes,
        acknowledge: Callable[[int, asyncio.Future[None] | None], None],
    ) -> int:
        """Process the frames that received bytes complete, and return their number.

        Args:
            link: to their worker.
            decoder: of the connection.
            data: received bytes.
            acknowledge: is called with the number of the last record, and with RecordSink.flush's result.

        Raises:
            WireError: for bytes that break the protocol. The records before them are processed.
        """
        last = frames = 0
        try:
            for frame in decoder.feed(data):
                frames += 1
                if isinstance(frame, Record):
                    self._take_record(link.worker_id, frame)
                    last = frame.number
                else:
                    self._take(link, frame)
        finally:
            if last:
                self._taken.move_to_end(link.worker_id)
                acknowledge(last, self._pipeline.flush(link.worker_id, last))
        return frames

    def _take_record(self, worker_id: bytes, record: Record) -> None:
        if record.number <= self._taken.get(worker_id, 0):
            return
        if not self._pipeline.knows(record.key):
            # Evicted for later ones: a worker that connects again sends its configurations again.
            raise WireError("a record of an unknown or evicted configuration")
        self._pipeline.take(record.key, record.log, worker_id)
        self._taken[worker_id] = record.number

    def _take(self, link: WorkerLink, frame: Frame) -> None:
        match frame:
            case Hello(version, worker_id):
                link.worker_id, link.version = worker_id, version
                self._remember(worker_id)
                if version > VERSION:
                    _newer.warning(
                        "plugin server is newer: frames of version %d, this sidecar knows %d and skips what is new; "
                        "restart the sidecar",
                        version,
                        VERSION,
                    )
                if version >= RATES_SINCE:
                    self._rates.connect(link)
            case Config(key, config):
                self._pipeline.configure(key, config)
                self._rates.announce(link, key)
            case Refused():
                self._pipeline.refuse(frame)
            case Totals(totals):
                self._pipeline.report(link.worker_id, totals)
            case Warnings(lines):
                for line in lines:
                    self._on_warning(line)
            case Debug():
                if self._sessions is not None:
                    self._sessions.start_session(link, frame)

    def disconnect(self, link: WorkerLink) -> None:
        """Forget a closed connection."""
        self._rates.disconnect(link)
        if self._sessions is not None:
            self._sessions.end_session(link)

    def _remember(self, worker_id: bytes) -> None:
        # An earlier sidecar may have spooled records of this worker that it could no longer acknowledge.
        self._taken.setdefault(worker_id, self._pipeline.last_number(worker_id))
        self._taken.move_to_end(worker_id)
        while len(self._taken) > _MAX_WORKERS:
            self._taken.popitem(last=False)
