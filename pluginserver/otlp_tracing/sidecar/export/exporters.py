"""The exporters of a sidecar, also those for destinations that an earlier process has left spans for.

The spool has everything about a destination except its secrets. After a restart, a destination without secrets is
exported to at once. Any other waits for a configuration with headers of the stored digest.

Key rotation: spans that wait because their key is refused are sent with the key that all entries of the destination
have now (key_rotation.py). After a restart the entries of stored spans are not known. If no configuration has named
their destination for ten minutes, they are sent with the key of the only other destination that differs in secrets
alone, if the spool did not know it before. Otherwise the spans stay held: the key of another entry is another tenant's.

An exporter without a span for an hour is suspended, without a loop and a connection, until a configuration or a span
needs it: configurations change, and a sidecar runs for months (docs/decisions/0019-destinations-come-to-rest.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.metrics import LOG_RECORDS, SPANS, SPOOL_BYTES, SPOOL_DEGRADED, SPOOL_MAX_BYTES
from otlp_tracing.sidecar.export.accounting import SpanAccounting
from otlp_tracing.sidecar.export.destination import Destination, endpoint_key
from otlp_tracing.sidecar.export.exporter import Exporter
from otlp_tracing.sidecar.export.grpc import GrpcTransport
from otlp_tracing.sidecar.export.http import HttpTransport
from otlp_tracing.sidecar.export.key_rotation import KeyRotation
from otlp_tracing.sidecar.export.spool_bound import SpoolBound
from otlp_tracing.sidecar.export.transport import Transport
from otlp_tracing.sidecar.export.unspooled import MAX_MEMORY_BYTES, UnspooledBatches
from otlp_tracing.sidecar.spool.batch import SpooledBatch, StoredDestination
from otlp_tracing.sidecar.spool.spool import Spool
from otlp_tracing.sidecar.spool.writer import OpenedSpool
from otlp_tracing.sidecar.telemetry.registry import Metrics

_log = logging.getLogger("otlp_tracing.sidecar.export")
_internal_error = LimitedLog(_log)

# After a start, stored spans wait so long for the keys of their destination: an entry's configuration comes with its
# first request. Then they are sent with the configuration that replaced it.
_UNKNOWN_SECONDS = 600.0
_CHECK_SECONDS = 10.0
# Longer than _UNKNOWN_SECONDS: the successor of a key must not be suspended when it is needed.
SUSPEND_SECONDS = 3600.0
# Past it the least recently used are suspended earlier, at the cost of a connection for their next span. This bounds
# the cost of configurations that change every second.
MAX_IDLE = 256
# Suspended endpoints that keep their counts on the page and on /metrics: some fifty series each.
MAX_SUSPENDED = 32
_SPOOL_SECONDS = 2.0  # to close the spool after the flush; both must end within the supervisor's eight seconds
# Of all destinations together, half a megabyte each: a hundred that hang leave slots for the others.
MAX_REQUESTS = 128


def new_transport(destination: Destination) -> Transport:
    """Return a transport to a destination."""
    return GrpcTransport(destination) if destination.protocol == "grpc" else HttpTransport(destination)


class ExporterRegistry:
    """Creates, suspends and ends exporters. Create and use it in one event loop.

    Args:
        metrics: where everything is counted.
        environment: `OTEL_*` variables.
        spool_folder: None keeps everything in memory.
        transport: makes a transport to a destination.
        max_memory_bytes: of batches that are in memory alone.
        spool_max_bytes: of all destinations together; None without a bound.
    """

    def __init__(
        self,
        metrics: Metrics,
        environment: Mapping[str, str],
        spool_folder: Path | None,
        transport: Callable[[Destination], Transport] = new_transport,
        max_memory_bytes: int = MAX_MEMORY_BYTES,
        *,
        spool_max_bytes: int | None = None,
    ) -> None:
        self._metrics = metrics
        self._environment = environment
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(MAX_REQUESTS)
        self._active: dict[bytes, Exporter] = {}  # by identity
        self._unknown: dict[bytes, Exporter] = {}  # by digest; their secrets are not known
        self._suspended: OrderedDict[str, Exporter] = OrderedDict()  # by label, which has no active one; latest last
        self._unsaved: dict[Exporter, None] = {}
        self._changes: set[asyncio.Task[None]] = set()
        self._saving: asyncio.Future[None] | None = None
        self._unspooled = UnspooledBatches(max_memory_bytes)
        self.bound = SpoolBound(spool_max_bytes, lambda: (one.queue for one in self._awake()), self._unspooled)
        self._rotation = KeyRotation()
        self._stored: frozenset[bytes] = frozenset()  # digests of the destinations that an earlier process had
        self.last_records: dict[bytes, int] = {}  # that an earlier process has stored, by worker_id
        self.spool = Spool(spool_folder, self._restore, lambda: self._unspooled.store(self.spool))
        self._maintaining = asyncio.create_task(self._maintain(), name="maintain exporters")
        metrics.flag(SPOOL_DEGRADED, lambda: float(self.spool.trouble is not None))
        metrics.flag(SPOOL_BYTES, lambda: float(self.bound.bytes))
        metrics.flag(SPOOL_MAX_BYTES, lambda: float(self.bound.max_bytes or 0))

    def get(self, destination: Destination, scope: tuple[str, str] = ("", "")) -> Exporter:
        """Return the exporter to a destination. If two differ in limits alone, the limits of the last one count.

        Args:
            destination: of an entry's signal.
            scope: entry_identity.entry_scope of the entry.
        """
        exporter = self._activate(destination)
        self._rotation.configure((destination.signal, *scope), destination.identity)
        if exporter.destination != destination:
            self._run(exporter.reconfigure(destination))
        return exporter

    def submit(self, destination: Destination, spans: list[bytes], unencodable: int) -> None:
        """Take the spans of one request over; they are safe once the future of save() is done.

        Args:
            destination: of the spans.
            spans: encoded.
            unencodable: number of the request's spans that could not be encoded.
        """
        exporter = self._active.get(destination.identity) or self._activate(destination)
        if unencodable:
            exporter.count_unencodable(unencodable)
        if spans:
            exporter.submit(spans)
            self._unsaved[exporter] = None

    def save(self, worker_id: bytes, number: int) -> asyncio.Future[None] | None:
        """Spool the submitted spans.

        Args:
            worker_id: of the worker that sent their records.
            number: of the last record.

        Returns:
            Done when they are safe, and everything that was submitted before: a worker may repeat a record while its
            first copy is still on the way to the disk. None if nothing is on the way.
        """
        if self._unsaved:
            exporters, self._unsaved = self._unsaved, {}
            self._saving = self._store([(one, one.take_unsaved()) for one in exporters], {worker_id: number})
        return None if self._saving is None or self._saving.done() else self._saving

    def status(self) -> list[dict[str, Any]]:
        """Return the state of every destination."""
        return [exporter.status() for exporter in self._all()]

    async def close(self, seconds: float) -> None:
        """Send the waiting spans of every destination, for `seconds` at most, and leave the rest in the spool."""
        self._maintaining.cancel()
        await asyncio.gather(*(exporter.close(seconds) for exporter in self._awake()))
        await self.bound.close()
        if self._unspooled.spans:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.spool.recover(), _SPOOL_SECONDS / 2)
        await self.spool.close(_SPOOL_SECONDS)
        for nouns in ("spans", "log records"):
            awake = [exporter for exporter in self._awake() if exporter.accounting.nouns == nouns]
            lost = self._unspooled.spans_of({exporter.queue for exporter in awake})
            left = sum(exporter.accounting.spooled for exporter in awake)
            if left:
                _log.info("%d %s wait in the spool for the next start", left - lost, nouns)
            if lost:
                _log.error("%s lost: %d were in memory, and the spool takes no writes", nouns, lost)

    def _store(
        self, unsaved: Sequence[tuple[Exporter, list[SpooledBatch]]], last_records: Mapping[bytes, int]
    ) -> asyncio.Future[None]:
        safe: asyncio.Future[None] = self._loop.create_future()

        def stored(future: asyncio.Future[list[list[int]]]) -> None:
            ids = [None] * len(unsaved) if future.exception() else future.result()
            for (exporter, batches), some in zip(unsaved, ids, strict=True):
                exporter.queue.add(batches, some)
            self.bound.enforce()
            safe.set_result(None)

        if self.spool.is_available:
            work = [(exporter.queue.digest, exporter.queue.description, batches) for exporter, batches in unsaved]
            self.spool.append(work, last_records).add_done_callback(stored)
        else:
            for exporter, batches in unsaved:
                exporter.queue.add(batches, None)
            self.bound.enforce()
            safe.set_result(None)
        return safe

    def _awake(self) -> list[Exporter]:
        return [*self._active.values(), *self._unknown.values()]

    def _all(self) -> list[Exporter]:
        return [*self._awake(), *self._suspended.values()]

    def _activate(self, destination: Destination) -> Exporter:
        exporter = self._active.get(destination.identity)
        if exporter is not None:
            return exporter
        suspended = self._suspended.pop(destination.label, None)
        digest = self.spool.digest(destination.identity)
        exporter = self._unknown.pop(digest, None) if digest is not None else None
        if exporter is None and suspended is not None and suspended.queue.identity == destination.identity:
            suspended.resume()
            exporter, suspended = suspended, None
        exporter = self._active[destination.identity] = exporter or self._create(destination)
        if suspended is not None:
            self._forget(suspended)
        return exporter

    def _create(self, destination: Destination, *, is_known: bool = True) -> Exporter:
        counted = LOG_RECORDS if destination.signal == "logs" else SPANS
        accounting = SpanAccounting(destination.label, self._metrics, counted)
        return Exporter(
            destination,
            accounting,
            self.spool,
            self._unspooled,
            transport=self._transport,
            slots=self._slots,
            is_known=is_known,
        )

    def _run(self, change: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                self._replace_keys()
                self._suspend_idle()
            except Exception:
                _internal_error.warning("internal error in exporters, trying again", exc_info=True)

    def _replace_keys(self) -> None:
        for exporter in self._awake():
            is_overdue = exporter.state == "unknown" and exporter.age_seconds >= _UNKNOWN_SECONDS
            if is_overdue or exporter.state == "held":
                self._use_successor(exporter)

    def _suspend_idle(self) -> None:
        empty = sorted((one for one in self._awake() if one.is_empty), key=lambda one: one.idle_seconds, reverse=True)
        surplus = len(empty) - MAX_IDLE
        idle = {one: None for rank, one in enumerate(empty) if rank < surplus or one.idle_seconds >= SUSPEND_SECONDS}
        for awake in (self._active, self._unknown):
            for key in [key for key, one in awake.items() if one in idle]:
                del awake[key]
        for exporter in idle:
            if (transport := exporter.suspend()) is not None:
                self._run(transport.close())
            if any(one.label == exporter.label for one in self._awake()):
                # Its key was changed, and the endpoint is active with another one.
                self._forget(exporter)
                continue
            if (former := self._suspended.pop(exporter.label, None)) is not None:
                self._forget(former)
            self._suspended[exporter.label] = exporter
        while len(self._suspended) > MAX_SUSPENDED:
            self._forget(self._suspended.popitem(last=False)[1])

    def _forget(self, exporter: Exporter) -> None:
        exporter.accounting.close(is_last=not any(one.label == exporter.label for one in self._all()))
        if not any(one.queue.identity == exporter.queue.identity for one in self._all()):
            self.spool.forget(exporter.queue.identity)

    def _use_successor(self, exporter: Exporter) -> None:
        key = endpoint_key(exporter.queue.description)
        found = [one for one in self._successors(exporter) if endpoint_key(one.queue.description) == key]
        if len(found) == 1 and found[0].state == "ok" and found[0].has_succeeded:
            nouns = exporter.accounting.nouns
            _log.warning("key replaced: %s for %s are sent with the key of its successor", nouns, exporter.label)
            self._run(exporter.use_secrets_of(found[0].destination))

    def _successors(self, exporter: Exporter) -> list[Exporter]:
        if exporter.is_known:
            successor = self._active.get(self._rotation.successor(exporter.destination.identity) or b"")
            return [] if successor is None else [successor]
        return [one for one in self._active.values() if self.spool.digest(one.queue.identity) not in self._stored]

    def _restore(self, opened: OpenedSpool) -> None:
        self.last_records.update(opened.last_records)
        self._stored = frozenset(stored.digest for stored in opened.destinations)
        known = {self.spool.digest(identity): exporter for identity, exporter in self._active.items()}
        for stored in opened.destinations:
            lost = opened.lost_spans.get(stored.digest, 0)
            if not stored.batches and not lost:
                continue
            try:
                exporter = known.get(stored.digest) or self._restored(stored)
            except (ValueError, KeyError, TypeError) as error:
                _log.error("spool: the destination of %d spans or log records cannot be read: %r", stored.spans, error)
                continue
            exporter.accounting.restore(stored.spans + lost)
            exporter.accounting.drop(lost, "corrupt")
            exporter.queue.attach(stored)
            _log.info("spool: found %d %s for %s", stored.spans, exporter.accounting.nouns, exporter.label)
        self.bound.enforce()

    def _restored(self, stored: StoredDestination) -> Exporter:
        destination, lacks_secrets = Destination.from_description(stored.description, self._environment)
        if not lacks_secrets and self.spool.digest(destination.identity) == stored.digest:
            return self._activate(destination)
        exporter = self._unknown[stored.digest] = self._create(destination, is_known=False)
        # The stored one has the names of the headers that are missing here.
        exporter.queue.description = stored.description
        return exporter
