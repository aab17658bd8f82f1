"""Every destination of a sidecar, those that an earlier process left spans for among them.

A restart finds the spans and all about their destination but its secrets, which no disk has seen. One without
secrets is delivered to at once; another waits until a configuration comes whose headers have the digest that was
stored with it. Spans whose key the collector refuses, or nobody has named for long, go out with the key that has
replaced it: that of the one destination, and no other there is, which differs from theirs in secrets alone and works.

A destination for which nothing has come for long, and nothing waits, is put to rest: without a loop and a connection,
until it is named or has a span again. Configurations change, and a sidecar lives for months
(docs/decisions/0019-destinations-come-to-rest.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from otlp_tracing.metrics import SPOOL_DEGRADED
from otlp_tracing.sidecar.export.accounting import SpanAccounting
from otlp_tracing.sidecar.export.destination import Destination, endpoint_key
from otlp_tracing.sidecar.export.exporter import Exporter
from otlp_tracing.sidecar.export.grpc import GrpcTransport
from otlp_tracing.sidecar.export.http import HttpTransport
from otlp_tracing.sidecar.export.transport import Transport
from otlp_tracing.sidecar.spool.batch import StoredDestination
from otlp_tracing.sidecar.spool.spool import Spool
from otlp_tracing.sidecar.spool.writer import OpenedSpool
from otlp_tracing.sidecar.telemetry.registry import Metrics

_log = logging.getLogger("otlp_tracing.sidecar.export")

# How long a configuration may take to come with the first request that needs it, before another's key is used.
_UNKNOWN_SECONDS = 600.0
_LOOK_SECONDS = 10.0
# Longer than a key is waited for, whose successor must be awake to take its spans over.
REST_SECONDS = 3600.0
# Awake although they are idle. Past it the quietest rest sooner, at the cost of a new connection for their next
# span: what a configuration takes that changes every second has a bound.
MAX_IDLE = 256
# Endpoints whose accounting stay on the page and on /metrics while they rest: some fifty series each.
MAX_RESTING = 32
_SPOOL_SECONDS = 2.0  # for closing the spool after the flush: both are over before the supervisor's eight seconds
# Requests of all destinations together, half a megabyte each: a hundred that hang leave room for the others.
MAX_REQUESTS = 128


def new_transport(destination: Destination) -> Transport:
    """Make the way to a destination."""
    return GrpcTransport(destination) if destination.protocol == "grpc" else HttpTransport(destination)


class ExporterRegistry:
    """Makes exporters and ends them. Must be made and used in one event loop.

    Args:
        metrics: where everything is counted.
        environment: `OTEL_*` variables.
        spool: makes the spool, given whom to tell what it holds.
        transport: makes the way to a destination.
    """

    def __init__(
        self,
        metrics: Metrics,
        environment: Mapping[str, str],
        spool: Callable[[Callable[[OpenedSpool], None]], Spool],
        transport: Callable[[Destination], Transport] = new_transport,
    ) -> None:
        self._metrics = metrics
        self._environment = environment
        self._transport = transport
        self._slots = asyncio.Semaphore(MAX_REQUESTS)
        self._exporters: dict[bytes, Exporter] = {}
        self._unknown: dict[bytes, Exporter] = {}
        self._resting: OrderedDict[str, Exporter] = OrderedDict()  # by endpoint, none of which is awake; the last last
        self._gathering: dict[Exporter, None] = {}
        self._becoming: set[asyncio.Task[None]] = set()
        self._saving: asyncio.Future[None] | None = None
        self.senders: dict[bytes, int] = {}
        self.spool = spool(self._restore)
        self._tending = asyncio.create_task(self._tend(), name="replace keys")
        metrics.flag(SPOOL_DEGRADED, lambda: float(self.spool.trouble is not None))

    def to(self, destination: Destination) -> Exporter:
        """Return the delivery to a destination; of two that differ in limits alone the last one's count."""
        exporter = self._awake(destination)
        if exporter.destination != destination:
            self._run(exporter.become(destination))
        return exporter

    def submit(self, destination: Destination, spans: list[bytes], refused: int) -> None:
        """Take the spans of one request over; they are safe once what save() returns is done.

        Args:
            destination: theirs.
            spans: encoded.
            refused: how many more could not be encoded.
        """
        exporter = self._awake(destination)
        if refused:
            exporter.refuse(refused)
        if spans:
            exporter.submit(spans)
            self._gathering[exporter] = None

    def save(self, sender: bytes, number: int) -> asyncio.Future[None] | None:
        """Spool what was submitted.

        Args:
            sender: whose records it was made of.
            number: of the last one.

        Returns:
            Done when that is safe, and all that was submitted before: a sender may ask about a record again
            while its first copy is still on the way to the disk. None if nothing is on the way.
        """
        if self._gathering:
            gathering, self._gathering = self._gathering, {}
            batch = [(exporter.queue, exporter.gathered()) for exporter in gathering]
            self._saving = self.spool.append(batch, {sender: number})
        return None if self._saving is None or self._saving.done() else self._saving

    def status(self) -> list[dict[str, Any]]:
        """Return how every destination is."""
        return [exporter.status() for exporter in (*self._all(), *self._resting.values())]

    async def close(self, seconds: float) -> None:
        """Flush every destination, for so long at the most, and leave the rest in the spool."""
        self._tending.cancel()
        await asyncio.gather(*(exporter.close(seconds) for exporter in self._all()))
        lost = await self.spool.close(_SPOOL_SECONDS)
        left = sum(exporter.accounting.spooled for exporter in self._all())
        if left:
            _log.info("%d spans wait in the spool for the next start", left - lost)
        if lost:
            _log.error("%d spans are lost: they were in memory, and the spool takes nothing", lost)

    def _all(self) -> list[Exporter]:
        return [*self._exporters.values(), *self._unknown.values()]

    def _awake(self, destination: Destination) -> Exporter:
        exporter = self._exporters.get(destination.identity)
        if exporter is None:
            resting = self._resting.pop(destination.endpoint, None)
            is_its_own = resting is not None and resting.queue.identity == destination.identity
            exporter = self._found_again(destination) or (resting if is_its_own else None) or self._make(destination)
            self._exporters[destination.identity] = exporter
            if exporter is resting:
                exporter.wake()
            elif resting is not None:
                self._forget(resting)
        return exporter

    def _make(self, destination: Destination, *, is_known: bool = True) -> Exporter:
        accounting = SpanAccounting(destination.endpoint, self._metrics)
        return Exporter(destination, accounting, self.spool, self._transport, self._slots, is_known=is_known)

    def _found_again(self, destination: Destination) -> Exporter | None:
        digest = self.spool.digest(destination.identity)
        return self._unknown.pop(digest, None) if digest is not None else None

    def _run(self, change: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(change)
        self._becoming.add(task)
        task.add_done_callback(self._becoming.discard)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for exporter in self._all():
                if exporter.state == "held" or (exporter.state == "unknown" and exporter.age >= _UNKNOWN_SECONDS):
                    self._replace_key(exporter)
            self._put_to_rest()

    def _put_to_rest(self) -> None:
        idle = sorted((one for one in self._all() if one.is_idle), key=lambda one: one.quiet, reverse=True)
        surplus = len(idle) - MAX_IDLE
        quiet = {one: None for rank, one in enumerate(idle) if rank < surplus or one.quiet >= REST_SECONDS}
        for awake in (self._exporters, self._unknown):
            for key in [key for key, one in awake.items() if one in quiet]:
                del awake[key]
        for exporter in quiet:
            if (transport := exporter.rest()) is not None:
                self._run(transport.close())
            if any(one.label == exporter.label for one in self._all()):
                # As when a key was changed: the endpoint goes on under another.
                self._forget(exporter)
                continue
            if (former := self._resting.pop(exporter.label, None)) is not None:
                self._forget(former)
            self._resting[exporter.label] = exporter
        while len(self._resting) > MAX_RESTING:
            self._forget(self._resting.popitem(last=False)[1])

    def _forget(self, exporter: Exporter) -> None:
        known = (*self._all(), *self._resting.values())
        exporter.accounting.close(is_last=not any(one.label == exporter.label for one in known))
        if not any(one.queue.identity == exporter.queue.identity for one in known):
            self.spool.forget(exporter.queue)

    def _replace_key(self, exporter: Exporter) -> None:
        place = endpoint_key(exporter.queue.description)
        others = [
            other
            for other in self._exporters.values()
            if other is not exporter and endpoint_key(other.queue.description) == place and other.state == "ok"
        ]
        if len(others) == 1 and others[0].last_success_ms is not None and others[0].age <= exporter.age:
            _log.warning("spans for %s are sent with the key that has replaced theirs", exporter.label)
            self._run(exporter.borrow(others[0].destination))

    def _restore(self, opened: OpenedSpool) -> None:
        self.senders.update(opened.senders)
        known = {self.spool.digest(identity): exporter for identity, exporter in self._exporters.items()}
        for stored in opened.destinations:
            lost = opened.lost_spans.get(stored.digest, 0)
            if not stored.rows and not lost:
                continue
            try:
                exporter = known.get(stored.digest) or self._remembered(stored)
            except (ValueError, KeyError, TypeError) as error:
                _log.error("the spool has %d spans for a destination that cannot be read: %r", stored.spans, error)
                continue
            exporter.accounting.restore(stored.spans + lost)
            exporter.accounting.drop(lost, "corrupt")
            exporter.queue.attach(stored)
            _log.info("found %d spans for %s in the spool", stored.spans, exporter.label)

    def _remembered(self, stored: StoredDestination) -> Exporter:
        destination, lacks_secrets = Destination.from_description(stored.description, self._environment)
        if not lacks_secrets and self.spool.digest(destination.identity) == stored.digest:
            exporter = self._awake(destination)
        else:
            exporter = self._unknown[stored.digest] = self._make(destination, is_known=False)
            # With the names of the headers that it lacks.
            exporter.queue.description = stored.description
        return exporter
