"""The connection to the sidecar: the only socket that the gateway's side opens.

Keeps every record until the sidecar has acknowledged it, in a ring of bounded size. A full ring drops its oldest
record. Never blocks: `submit` only queues, `pump` writes and reads as much as the socket allows at once. The sidecar's
rates are passed to the entries' allowances. While it is away they continue with the last rates. The host calls `pump`:
our worker's loop when the socket is ready and on its timer, `start_pump_thread` elsewhere.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otlp_tracing.config.entry_identity import entry_config, entry_name, entry_scope, settings_key
from otlp_tracing.config.settings import Sampling
from otlp_tracing.errors import ConfigError, FrameTooLarge, WireError
from otlp_tracing.handoff.frames import (
    VERSION,
    Ack,
    Config,
    Decoder,
    Frame,
    Hello,
    Policy,
    Rates,
    Record,
    Refused,
    Totals,
    Warnings,
    encode,
)
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.logs.lines import WarningBuffer
from otlp_tracing.metrics import REQUESTS_UNTRACED, Counters, Total
from otlp_tracing.sampling.head_policy import HeadPolicy
from otlp_tracing.sampling.token_bucket import Allowance
from otlp_tracing.unix_sockets import refuse_foreign_peer

_log = logging.getLogger("otlp_tracing.plugin.emitter")
_internal_error = LimitedLog(_log)

# Half a minute of 500 requests/s with log records of 2 kB, about the need of a restart of the sidecar under load.
MAX_RING_BYTES = 32 << 20
_READ_BYTES = 4096  # some hundred acknowledgements
_WRITE_BYTES = 64 << 10  # the size of one send; a unix socket takes about 200 KiB
_RECONNECT_SECONDS = 0.2  # a sidecar that was restarted listens within a few of these
_SAY_LOST_SECONDS = 10.0  # a sidecar that starts beside us, or again, takes less, also on a busy machine
_TOTALS_SECONDS = 1.0
_LINES_AT_ONCE = 10  # of the log, in that time
_BLOCKED_SECONDS = 0.005  # the socket was full: look again soon, the sidecar reads often (sidecar/ingest/receiver.py)
_ACKNOWLEDGED_SECONDS = 0.05
_BATCH_SECONDS = 0.005  # records are gathered for so long: one write for many, under load
# Entries with rates that move. Each reload with changes brings new ones. The oldest entry keeps its last rates.
_MAX_ALLOWANCES = 4096
_MOST_FAULTS = 10  # of one configuration, for `status`; the log has all
_LONGEST_FAULT = 1000  # characters
_MAX_ORIGINS = 4096  # entries announced to a sidecar that is new; it remembers as many (sidecar/entries/)


@dataclass(frozen=True, slots=True)
class Origin:
    """The plugin entry that a record belongs to.

    Args:
        key: its entry_identity.settings_key.
        frame: the Config frame that tells the sidecar the configuration; for an invalid one, the Refused frame.
    """

    key: bytes
    frame: bytes

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Origin:
        """Make the origin of an entry from the configuration that Kong passed.

        Raises:
            FrameTooLarge: for a configuration that no frame can hold.
        """
        key = settings_key(config)
        return cls(key, encode(Config(key, json.dumps(entry_config(config)).encode())))

    @classmethod
    def refused(cls, config: Mapping[str, Any], faults: Sequence[str]) -> Origin:
        """Make the origin of an entry whose configuration cannot work, with its faults."""
        shown = [fault[:_LONGEST_FAULT].encode("utf-8", "replace").decode() for fault in faults[:_MOST_FAULTS]]
        return cls(settings_key(config), encode(Refused(entry_name(config), *entry_scope(config), shown)))


class _Kept:
    __slots__ = ("frame", "number", "origin")

    def __init__(self, number: int, origin: Origin, frame: bytes) -> None:
        self.number = number
        self.origin = origin
        self.frame = frame


class Emitter:
    """Sends records, from any thread.

    Args:
        path: the sidecar's socket.
        clock: monotonic seconds.
        max_ring_bytes: memory for unacknowledged records.
        warnings: lines of this process's log that the sidecar shows.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        max_ring_bytes: int = MAX_RING_BYTES,
        warnings: WarningBuffer | None = None,
    ) -> None:
        self.counters = Counters()
        self.policy = HeadPolicy()
        """The rules of the sidecar's policy file."""
        self._warnings = warnings
        self._path = path
        self._clock = clock
        self._max_ring_bytes = max_ring_bytes
        self.worker_id = os.urandom(8)
        """Names this process to the sidecar, 8 bytes."""
        self._hello = encode(Hello(VERSION, self.worker_id))
        self._lock = threading.Lock()
        self._number = 0
        self._waiting: deque[_Kept] = deque()  # not yet written on this connection
        self._unacknowledged: deque[_Kept] = deque()  # written, not yet taken over
        self._ring_bytes = 0
        self._socket: socket.socket | None = None
        self._decoder = Decoder()
        self._origins: dict[bytes, Origin] = {}  # latest last
        self._unannounced: deque[Origin] = deque()  # on this connection
        self._announced: set[bytes] = set()
        self._allowances: dict[bytes, Allowance] = {}
        self._outgoing = memoryview(b"")
        self._connect_at = 0.0
        self._totals_at = 0.0
        self._reported: list[Total] | None = None  # on this connection
        self._lost_at: float | None = None
        self._said_lost = False
        self._refused = LimitedLog(_log, clock)

    def __repr__(self) -> str:
        state = "connected" if self._socket else "not connected"
        return f"<Emitter {state} | {len(self._waiting)} waiting, {len(self._unacknowledged)} unacknowledged>"

    def allowance(self, origin: Origin, sampling: Sampling) -> Allowance | None:
        """Return this process's allowance of an entry, one for all its instances; None if no rate moves."""
        if not sampling.moves:
            return None
        with self._lock:
            allowance = self._allowances.get(origin.key)
            if allowance is None:
                allowance = self._allowances[origin.key] = Allowance(sampling, self._clock)
                if len(self._allowances) > _MAX_ALLOWANCES:
                    del self._allowances[next(iter(self._allowances))]
            return allowance

    def announce(self, origin: Origin) -> None:
        """Tell the sidecar the configuration of an entry, on this connection and each later one.

        A record that Kong's own queue brings to the sidecar names its entry alone.
        """
        with self._lock:
            self._origins.pop(origin.key, None)
            self._origins[origin.key] = origin
            if self._socket is not None and origin.key not in self._announced:
                self._unannounced.append(origin)
            if len(self._origins) > _MAX_ORIGINS:
                del self._origins[next(iter(self._origins))]

    def refuse(self, origin: Origin) -> None:
        """Tell the sidecar that an entry cannot work, also if it heard so before: the entry may have worked since."""
        with self._lock:
            self._announced.discard(origin.key)
        self.announce(origin)

    def submit(self, origin: Origin, log: bytes) -> None:
        """Queue one log record; the oldest is dropped if there is no room."""
        with self._lock:
            self._number += 1
            try:
                frame = encode(Record(self._number, origin.key, log))
            except FrameTooLarge:
                self.counters.add(REQUESTS_UNTRACED, "record_too_large")
                return
            self._waiting.append(_Kept(self._number, origin, frame))
            self._ring_bytes += len(frame)
            while self._ring_bytes > self._max_ring_bytes:
                self._give_up_oldest()

    def pump(self) -> float:
        """Connect, write and read as far as possible without waiting.

        Returns:
            Seconds after which it must be called again, or earlier if a record is submitted.
        """
        with self._lock:
            now = self._clock()
            if self._socket is None:
                self._connect(now)
            if self._socket is None:
                return _RECONNECT_SECONDS
            try:
                self._read_answers()
                self._report_totals(now)
                self._write()
            except (OSError, WireError) as error:
                self._disconnect(error)
            if self._is_writing:
                return _BLOCKED_SECONDS
            return _ACKNOWLEDGED_SECONDS if self._unacknowledged else _TOTALS_SECONDS

    def urgency(self) -> float | None:
        """Return the seconds within which queued records want to be written; None without queued records."""
        return _BATCH_SECONDS if (self._waiting or self._unannounced) and self._socket else None

    def drain(self, seconds: float) -> bool:
        """Pump until the sidecar has taken everything over, or for so long; for the end of a process."""
        end = self._clock() + seconds
        self._totals_at = 0.0
        while True:
            self.pump()
            if not (self._is_writing or self._unacknowledged):
                return True
            if self._clock() >= end:
                return False
            time.sleep(0.005)

    def close(self) -> None:
        """Close the connection; unacknowledged records stay queued."""
        with self._lock:
            if self._socket:
                self._disconnect(None)

    @property
    def _is_writing(self) -> bool:
        return bool(self._outgoing or self._waiting or self._unannounced)

    def _give_up_oldest(self) -> None:
        # Drop unsent records first. A record already written may still be read by a slow sidecar: dropping it would
        # count it as lost although it arrives.
        oldest = (self._waiting or self._unacknowledged).popleft()
        self._ring_bytes -= len(oldest.frame)
        self.counters.add(REQUESTS_UNTRACED, "queue_full")

    def _connect(self, now: float) -> None:
        if now < self._connect_at:
            return
        self._connect_at = now + _RECONNECT_SECONDS
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            connection.connect(str(self._path))
            refuse_foreign_peer(connection)
        except OSError as error:
            connection.close()
            self._report_unreachable(error)
            return
        self._socket = connection
        self._decoder = Decoder()
        self._announced.clear()
        self._reported = None
        self._unannounced = deque(self._origins.values(), _MAX_ORIGINS)
        self._outgoing = memoryview(self._hello)
        self._lost_at = None
        if self._said_lost:
            self._said_lost = False
            _log.info("sidecar connected again: %s", self._path)

    def _disconnect(self, error: Exception | None) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None
        self._outgoing = memoryview(b"")
        self._unannounced.clear()
        self._waiting.extendleft(reversed(self._unacknowledged))
        self._unacknowledged.clear()
        if error:
            self._report_unreachable(error)

    def _report_unreachable(self, error: Exception) -> None:
        now = self._clock()
        if self._lost_at is None:
            self._lost_at = now
        elif not self._said_lost and now >= self._lost_at + _SAY_LOST_SECONDS:
            self._said_lost = True
            reason = getattr(error, "strerror", None) or error
            _log.warning("sidecar not reachable: %s: %s; records are kept and sent later", self._path, reason)

    def _write(self) -> None:
        while self._socket and self._is_writing:
            if not self._outgoing:
                self._fill()
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                return
            self._outgoing = self._outgoing[sent:]

    def _fill(self) -> None:
        pieces: list[bytes] = []
        size = 0
        while self._unannounced and size < _WRITE_BYTES:
            size += self._tell(self._unannounced.popleft(), pieces)
        while self._waiting and size < _WRITE_BYTES:
            kept = self._waiting.popleft()
            self._tell(kept.origin, pieces)
            pieces.append(kept.frame)
            size += len(kept.frame)
            self._unacknowledged.append(kept)
        self._outgoing = memoryview(b"".join(pieces))

    def _tell(self, origin: Origin, pieces: list[bytes]) -> int:
        """Add an entry's configuration to the pieces, once a connection; return its size."""
        if origin.key in self._announced:
            return 0
        self._announced.add(origin.key)
        pieces.append(origin.frame)
        return len(origin.frame)

    def _report_totals(self, now: float) -> None:
        if now >= self._totals_at:
            self._totals_at = now + _TOTALS_SECONDS
            totals = self.counters.totals()
            # At rest the sidecar is not woken up for the same counts again.
            report = b"" if totals == self._reported else encode(Totals(totals))
            self._reported = totals
            if self._warnings is not None and (lines := self._warnings.take(_LINES_AT_ONCE)):
                report += encode(Warnings(lines))
            if report:
                self._outgoing = memoryview(bytes(self._outgoing) + report)

    def _read_answers(self) -> None:
        assert self._socket is not None
        while True:
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                raise ConnectionResetError("it closed the connection")
            for frame in self._decoder.feed(data):
                self._take(frame)
            if len(data) < _READ_BYTES:
                return  # all that was there: to ask again costs a system call and an exception

    def _take(self, frame: Frame) -> None:
        match frame:
            case Ack(number):
                while self._unacknowledged and self._unacknowledged[0].number <= number:
                    self._ring_bytes -= len(self._unacknowledged.popleft().frame)
            case Rates(key, load, shares):
                allowance = self._allowances.get(key)
                if allowance is not None:
                    allowance.set(load, shares)
            case Policy(rules):
                try:
                    self.policy.set_json(rules)
                except (ConfigError, ValueError) as error:
                    self._refused.error("policy refused, the last good one stays in force: %s", error)
            case _:
                raise WireError(f"the sidecar sent a {type(frame).__name__}")


def start_pump_thread(emitter: Emitter, interval_seconds: float = 0.05) -> None:
    """Pump from a daemon thread, for a server with another loop."""

    def run() -> None:
        while True:
            try:
                emitter.pump()
            except Exception:
                _internal_error.warning("internal error, records not handed over, trying again", exc_info=True)
            time.sleep(interval_seconds)

    threading.Thread(target=run, name="otlp-tracing emitter", daemon=True).start()
