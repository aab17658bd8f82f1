"""Exporter to one destination: gather rows into batches, send several at a time, do what the answer asks for.

Nothing leaves the spool before the collector has answered for it. One slow destination delays no other: each
has a loop, a transport and a pace of its own. While a destination fails, one attempt at a time finds out
whether it is back.

Source: opentelemetry-proto, docs/specification.md; OpenTelemetry specification, protocol/exporter.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.sidecar.export.accounting import SpanAccounting
from otlp_tracing.sidecar.export.backoff import RetryBackoff
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.in_flight import EncodedSpan, InFlightBatch
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.export.send_queue import SendQueue
from otlp_tracing.sidecar.export.transport import Transport
from otlp_tracing.sidecar.otlp.encoder import encode_resource, request
from otlp_tracing.sidecar.spool.batch import SpooledBatch
from otlp_tracing.sidecar.spool.spool import Spool

# A request must stay below 4 MiB before compression (OTLP); the rest is for resource and framing.
MAX_BATCH_BYTES = 3_500_000
CONCURRENT_REQUESTS = 4  # at one second an answer and 512 spans a request, 2,000 spans/s
_MAX_ROW_BYTES = 256 << 10  # what is dropped at once when there is no room
_DISK_SECONDS = 1.0  # between two attempts to read from a disk that gives nothing
_LOOK_SECONDS = 0.01  # between two looks at what is left, at the end
# A collector that refuses whatever it gets must not be asked a thousand times for every batch.
_REFUSES_ALL_SPANS = 64
_REFUSES_ALL_SECONDS = 10.0

_log = logging.getLogger("otlp_tracing.sidecar.export")


class Exporter:
    """Delivers to one destination. Must be made and used in one event loop.

    Args:
        destination: where to.
        accounting: where every span is accounted for.
        spool: keeps the rows.
        transport: makes the way to it.
        slots: bounds the requests of all destinations together.
        is_known: False for one of an earlier process whose secrets no configuration has told yet.
    """

    def __init__(
        self,
        destination: Destination,
        accounting: SpanAccounting,
        spool: Spool,
        transport: Callable[[Destination], Transport],
        slots: asyncio.Semaphore,
        *,
        is_known: bool = True,
    ) -> None:
        self.accounting = accounting
        self.last_success_ms: int | None = None
        self._loop = asyncio.get_running_loop()
        self.backoff = RetryBackoff(self._loop.time)
        self._made_at = self._used_at = self._loop.time()
        self._spool = spool
        self._new_transport = transport
        self._transport: Transport | None = None
        self._slots = slots
        self._changed = asyncio.Event()
        self._sleeps = True
        self._sending: set[asyncio.Task[None]] = set()
        self._gathered: list[tuple[bytes, int]] = []
        self._flushing = False
        self._refuses_all_until = float("-inf")
        self._losses, self._failures, self._recoveries = LimitedLog(_log), LimitedLog(_log), LimitedLog(_log)
        self.queue = SendQueue(accounting, spool, self._notice)
        self.is_known = self.is_resting = False
        self._set(destination, is_known=is_known)
        self._task = self._begin()

    def __repr__(self) -> str:
        return f"<Exporter {self.label} {self.state} | {self.queue!r}, {len(self._sending)} requests>"

    @property
    def label(self) -> str:
        """Its name on /metrics and in the log."""
        return self.destination.endpoint

    @property
    def state(self) -> str:
        """One word: ok, retrying, held, idle at rest, or unknown as long as its headers are not known."""
        if self.is_resting:
            return "idle"
        if not self.is_known:
            return "unknown"
        if not self.backoff.is_failing:
            return "ok"
        return "held" if self.backoff.held else "retrying"

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return self._loop.time() - self._made_at

    @property
    def quiet(self) -> float:
        """Seconds since a configuration named it, or spans came or went."""
        return self._loop.time() - self._used_at

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing waits and nothing is being sent."""
        return not (self.queue.spans or self._sending or self._gathered or self.accounting.spooled)

    def submit(self, spans: Sequence[bytes]) -> None:
        """Take the spans of one request over; they are safe once what gathered() returns is."""
        self._used_at = self._loop.time()
        self.accounting.receive(len(spans))
        self._gathered.append((b"".join(spans), len(spans)))

    def refuse(self, spans: int) -> None:
        """Count spans that could not even be encoded."""
        self.accounting.receive(spans)
        self.accounting.drop(spans, "bad_span")

    def gathered(self) -> list[SpooledBatch]:
        """Return what was submitted since the last time, as rows of whole requests."""
        gathered, self._gathered = self._gathered, []
        return list(self._rows(gathered))

    def rest(self) -> Transport | None:
        """Do without a loop until wake(), when it is idle; return the way to the collector, to be closed."""
        self._task.cancel()
        self.is_resting = True
        self.backoff = RetryBackoff(self._loop.time)  # what failed last says nothing about now
        transport, self._transport = self._transport, None
        return transport

    def wake(self) -> None:
        """Deliver again."""
        self.is_resting, self._used_at = False, self._loop.time()
        self._task = self._begin()

    async def become(self, destination: Destination) -> None:
        """Deliver with other headers, keys or limits from now on."""
        self._set(destination, is_known=True)
        await self._begin_anew()

    async def borrow(self, other: Destination) -> None:
        """Deliver what waits with another destination's secrets; it stays another to the spool."""
        self.destination, self.is_known = other, True
        await self._begin_anew()

    async def _begin_anew(self) -> None:
        transport, self._transport = self._transport, None
        self.backoff.try_now()
        self._changed.set()
        if transport is not None:
            await transport.close()

    async def close(self, seconds: float) -> None:
        """Send what waits, for so long at the most and only as long as the collector answers."""
        self._flushing = True
        self._changed.set()
        end = self._loop.time() + seconds
        while not self.is_idle and self.is_known and self._loop.time() < end:
            if self.backoff.is_failing and not self._sending:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        tasks = [self._task, *self._sending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.queue.end()
        if self._transport is not None:
            await self._transport.close()

    def status(self) -> dict[str, Any]:
        """Return how it is, for a person: spans, seconds and words."""
        now_ms, oldest = self._spool.now_ms(), self.queue.oldest_at_ms
        since, success = self.backoff.failing_since, self.last_success_ms
        return {
            "destination": self.label,
            "protocol": self.destination.protocol,
            "state": self.state,
            "reason": self.backoff.reason,
            "failing_s": None if since is None else round(self._loop.time() - since, 1),
            "last_success_s": None if success is None else (now_ms - success) / 1000,
            "oldest_s": None if oldest is None else max(now_ms - oldest, 0) / 1000,
            "spool_bytes": self.queue.bytes,
            "spool_max_bytes": self.queue.max_bytes,
            **self.accounting.status(),
        }

    def _begin(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._run(), name=f"deliver to {self.label}")

    def _set(self, destination: Destination, *, is_known: bool) -> None:
        self._used_at = self._loop.time()
        self.destination = destination
        self.is_known = is_known
        self._resource = encode_resource(dict(destination.resource_attributes))
        self.queue.identity, self.queue.description = destination.identity, destination.description
        self.queue.max_bytes = destination.batch_export.spool_max_bytes

    def _rows(self, gathered: Sequence[tuple[bytes, int]]) -> Iterator[SpooledBatch]:
        most, now_ms = self.destination.batch_export.send_batch_size, self._spool.now_ms()
        bodies: list[bytes] = []
        spans = size = 0
        for body, count in gathered:
            if bodies and (spans + count > most or size + len(body) > _MAX_ROW_BYTES):
                yield SpooledBatch(b"".join(bodies), spans, now_ms)
                bodies, spans, size = [], 0, 0
            bodies.append(body)
            spans += count
            size += len(body)
        if bodies:
            yield SpooledBatch(b"".join(bodies), spans, now_ms)

    def _notice(self) -> None:
        # Called for whatever is added; most of it does not make a batch due, and none of it while an outage lasts.
        is_full = self.queue.spans >= self.destination.batch_export.send_batch_size
        if self._sleeps or (is_full and not self.backoff.is_failing and self._may_send()):
            self._changed.set()

    def _may_send(self) -> bool:
        return self.is_known and len(self._sending) < (1 if self.backoff.is_failing else CONCURRENT_REQUESTS)

    def _delay(self) -> float | None:
        if not self._may_send() or not self.queue.spans:
            return None
        pause = self.backoff.delay()
        tuning = self.destination.batch_export
        if pause or self._flushing or self.backoff.is_failing or self.queue.spans >= tuning.send_batch_size:
            return pause
        oldest = self.queue.oldest_at_ms
        return 0.0 if oldest is None else max(oldest + tuning.timeout - self._spool.now_ms(), 0) / 1000

    async def _run(self) -> None:
        while True:
            await self._expire()
            self._changed.clear()
            delay = self._delay()
            if delay == 0:
                await self._send_next()
            else:
                await self._sleep(delay)

    async def _sleep(self, seconds: float | None) -> None:
        self._sleeps = seconds is None and self._may_send()
        timer = None if seconds is None else self._loop.call_later(seconds, self._changed.set)
        await self._changed.wait()
        if timer is not None:
            timer.cancel()

    async def _expire(self) -> None:
        limit, since = self.destination.batch_export.max_retry_time, self.backoff.failing_since
        if limit and since is not None and not self.backoff.held and self._loop.time() - since >= limit:
            await self.queue.expire(self._spool.now_ms() - limit * 1000)

    async def _send_next(self) -> None:
        await self._slots.acquire()
        try:
            rows = await self.queue.take(self.destination.batch_export.send_batch_size, MAX_BATCH_BYTES)
        except BaseException:
            self._slots.release()
            raise
        if not rows:
            self._slots.release()
            await self._sleep(_DISK_SECONDS)
            return
        task = asyncio.create_task(self._ship(InFlightBatch(rows, self.queue, self.accounting)))
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._used_at = self._loop.time()
        self._slots.release()
        self._changed.set()

    async def _ship(self, shipment: InFlightBatch) -> None:
        try:
            if sum(map(len, shipment.bodies)) > MAX_BATCH_BYTES:
                await self._narrow(shipment)
                return
            answer = await self._export(shipment.bodies)
            if answer.action is Action.SUCCESS:
                shipment.accept(answer.rejected)
            elif answer.action is Action.SPLIT and shipment.spans > 1 and not self._refuses_all():
                await self._narrow(shipment)
            elif answer.action in {Action.SPLIT, Action.DROP}:
                shipment.reject()
                self._say_rejected(shipment.spans, answer)
        except Exception as error:
            _log.exception("a fault in the exporter to %s; its spans wait", self.label)
            self.backoff.fail(f"{type(error).__name__}: {error}")
        finally:
            shipment.close()

    def _refuses_all(self) -> bool:
        return self._loop.time() < self._refuses_all_until

    async def _narrow(self, shipment: InFlightBatch) -> None:
        """Send in halves what was refused whole, until the spans that are meant stand alone."""
        accepted, pieces = 0, shipment.pieces()
        stack = [pieces] if len(pieces) == 1 else _halves(pieces)
        while stack:
            part = stack.pop()
            if sum(len(piece.span) for piece in part) > MAX_BATCH_BYTES:
                if len(part) > 1:
                    stack += _halves(part)
                else:
                    shipment.drop_pieces(part, "too_large")
                    self._losses.warning("dropped a span of %d bytes, more than OTLP allows", len(part[0].span))
                continue
            answer = await self._export([piece.span for piece in part])
            if answer.action is Action.SUCCESS:
                shipment.accept_pieces(part, answer.rejected)
                accepted += len(part)
            elif answer.action is Action.SPLIT and len(part) > 1:
                stack += _halves(part)
            elif answer.action in {Action.SPLIT, Action.DROP}:
                shipment.reject_pieces(part)
                self._say_rejected(len(part), answer)
            else:
                return
        if not accepted and len(pieces) >= _REFUSES_ALL_SPANS:
            self._refuses_all_until = self._loop.time() + _REFUSES_ALL_SECONDS

    async def _export(self, spans: Sequence[bytes]) -> ExportResult:
        if self._transport is None:
            self._transport = self._new_transport(self.destination)
        begun = self._loop.time()
        answer = await self._transport.export(request(self._resource, spans))
        component = f"otlp_{'grpc' if self.destination.protocol == 'grpc' else 'http'}_span_exporter"
        self.accounting.answered(component, self._loop.time() - begun, answer.error_type)
        if answer.action in {Action.RETRY, Action.HOLD_UNAUTHORIZED}:
            self.backoff.fail(answer.reason, answer.delay_s, hold=answer.action is Action.HOLD_UNAUTHORIZED)
            what = "does not let us in" if self.backoff.held else "takes nothing"
            self._failures.warning("%s %s; its spans wait in the spool (%s)", self.label, what, answer.reason)
        else:
            self._succeeded(answer)
        return answer

    def _succeeded(self, answer: ExportResult) -> None:
        if self.backoff.is_failing:
            self._recoveries.info("%s answers again", self.label)
        self.backoff.succeed()
        if answer.action is Action.SUCCESS:
            self.last_success_ms = self._spool.now_ms()
            if answer.rejected:
                self._say_rejected(answer.rejected, answer)

    def _say_rejected(self, spans: int, answer: ExportResult) -> None:
        self._losses.warning("%s rejected %d spans: %s", self.label, spans, answer.reason)


def _halves(pieces: list[EncodedSpan]) -> list[list[EncodedSpan]]:
    middle = len(pieces) // 2
    return [pieces[middle:], pieces[:middle]]
