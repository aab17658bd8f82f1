"""Export to one destination: collect spans into batches, send several requests at a time, act on the results.

No span leaves the spool before the collector has answered for it. Each destination has a loop, a transport and a
backoff of its own, so a slow one delays no other. While a destination fails, one request at a time tests whether it
is back.

Source: opentelemetry-proto, docs/specification.md; OpenTelemetry specification, protocol/exporter.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otlp_tracing.config.otel_variables import Signal
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.sidecar.export.accounting import SpanAccounting
from otlp_tracing.sidecar.export.backoff import RetryBackoff
from otlp_tracing.sidecar.export.batching import join_requests
from otlp_tracing.sidecar.export.bisection import MAX_REQUEST_BYTES, Bisection
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.in_flight import InFlightBatch
from otlp_tracing.sidecar.export.refusals import Refusals
from otlp_tracing.sidecar.export.remedies import remedy_for
from otlp_tracing.sidecar.export.result import HOLD_REASONS, Action, ExportResult
from otlp_tracing.sidecar.export.send_queue import SendQueue
from otlp_tracing.sidecar.export.transport import Transport
from otlp_tracing.sidecar.export.unspooled import UnspooledBatches
from otlp_tracing.sidecar.otlp.encoder import encode_resource, request
from otlp_tracing.sidecar.spool.batch import SpooledBatch
from otlp_tracing.sidecar.spool.spool import Spool

CONCURRENT_REQUESTS = 4  # with answers after one second and 512 spans a request, 2,000 spans/s
_DISK_SECONDS = 1.0  # between two attempts to read from a disk that fails
_FLUSH_CHECK_SECONDS = 0.01

# As the semantic conventions name them: otlp_grpc_span_exporter.
_COMPONENTS: Mapping[Signal, str] = {"traces": "span", "logs": "log"}

_log = logging.getLogger("otlp_tracing.sidecar.export")


class Exporter:
    """Create and use it in one event loop.

    Args:
        destination: where to send.
        accounting: where every span is counted.
        spool: stores the batches.
        unspooled: batches of all destinations that are in memory alone.
        transport: makes a transport to the destination.
        slots: bounds the requests of all destinations together.
        is_known: False for a destination from the spool while no configuration has brought its secrets.
    """

    def __init__(
        self,
        destination: Destination,
        accounting: SpanAccounting,
        spool: Spool,
        unspooled: UnspooledBatches,
        *,
        transport: Callable[[Destination], Transport],
        slots: asyncio.Semaphore,
        is_known: bool = True,
    ) -> None:
        self.accounting = accounting
        self._loop = asyncio.get_running_loop()
        self.backoff = RetryBackoff(self._loop.time)
        self._created_at = self._used_at = self._loop.time()
        self._succeeded_at: float | None = None
        self._spool = spool
        self._new_transport = transport
        self._transport: Transport | None = None
        self._slots = slots
        self._wake = asyncio.Event()
        self._is_idle = True  # the loop waits for any span at all, not for a full batch or a delay
        self._sending: set[asyncio.Task[None]] = set()
        self._unsaved: list[list[bytes]] = []  # encoded spans by request
        self._is_flushing = self.is_suspended = False
        self._remedy = self._command = ""
        self._refusals = Refusals()
        self._bisection = Bisection(
            self._export,
            lambda: self._refusals.is_everything,
            self._record_accepted,
            self._log_rejected,
            accounting.noun,
        )
        self._rejected, self._failed, self._recovered = LimitedLog(_log), LimitedLog(_log), LimitedLog(_log)
        self._internal_error = LimitedLog(_log)
        self.queue = SendQueue(accounting, spool, unspooled, self._on_queued)
        self._configure(destination, is_known=is_known)
        self._task = self._start()

    def __repr__(self) -> str:
        return f"<Exporter {self.label} {self.state} | {self.queue!r}, {len(self._sending)} requests>"

    @property
    def label(self) -> str:
        """The destination's name on /metrics and in the log."""
        return self.destination.label

    @property
    def state(self) -> str:
        """One word for a person: ok, retrying, held, rejecting, idle, or unknown if its headers are not known."""
        if self.is_suspended:
            return "idle"
        if not self.is_known:
            return "unknown"
        if self.backoff.failing_since is None:
            return "rejecting" if self._refusals.batches else "ok"
        return "held" if self.backoff.held else "retrying"

    @property
    def has_succeeded(self) -> bool:
        """Tell whether the collector has accepted a request."""
        return self._succeeded_at is not None

    @property
    def age_seconds(self) -> float:
        """Seconds since it was created."""
        return self._loop.time() - self._created_at

    @property
    def idle_seconds(self) -> float:
        """Seconds since it was configured, or a span came or was sent."""
        return self._loop.time() - self._used_at

    @property
    def is_empty(self) -> bool:
        """Tell whether no span waits and none is in flight."""
        return not (self.queue.spans or self._sending or self._unsaved or self.accounting.spooled)

    def submit(self, spans: list[bytes]) -> None:
        """Take the encoded spans of one request over. They are safe once take_unsaved() is stored."""
        self._unsaved.append(spans)

    def count_unencodable(self, spans: int) -> None:
        """Count spans that could not be encoded."""
        self.accounting.receive_not_encoded(spans)

    def take_unsaved(self) -> list[SpooledBatch]:
        """Count and return the submitted spans that were not returned before, as batches of whole requests."""
        requests, self._unsaved = self._unsaved, []
        self._used_at = self._loop.time()
        self.accounting.receive(sum(map(len, requests)))
        return join_requests(requests, self.destination.batch_export.send_batch_size, self._spool.now_ms())

    def suspend(self) -> Transport | None:
        """Stop the loop of an empty exporter until resume(); return the transport, which must be closed."""
        self._task.cancel()
        self.is_suspended = True
        self.backoff = RetryBackoff(self._loop.time)  # an old failure says nothing about the next attempt
        transport, self._transport = self._transport, None
        return transport

    def resume(self) -> None:
        """Start the loop again."""
        self.is_suspended, self._used_at = False, self._loop.time()
        self._task = self._start()

    async def reconfigure(self, destination: Destination) -> None:
        """Use other headers, keys or limits from now on."""
        self._configure(destination, is_known=True)
        await self._reconnect()

    async def use_secrets_of(self, other: Destination) -> None:
        """Send the waiting spans with another destination's secrets; in the spool it stays the same destination."""
        self.destination, self.is_known = other, True
        await self._reconnect()

    async def _reconnect(self) -> None:
        transport, self._transport = self._transport, None
        self.backoff.retry_now()
        self._wake.set()
        if transport is not None:
            await transport.close()

    async def close(self, seconds: float) -> None:
        """Send the waiting spans, for `seconds` at most and only while the collector answers."""
        self._is_flushing = True
        self._wake.set()
        self._refusals.decide()
        end = self._loop.time() + seconds
        while not self.is_empty and self.is_known and self._loop.time() < end:
            if self.backoff.failing_since is not None and not self._sending:
                break
            await asyncio.sleep(_FLUSH_CHECK_SECONDS)
        tasks = [self._task, *self._sending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.queue.close()
        if self._transport is not None:
            await self._transport.close()

    def status(self) -> dict[str, Any]:
        """Return its state for a person: words, seconds and spans."""
        now, now_ms, oldest = self._loop.time(), self._spool.now_ms(), self.queue.oldest_at_ms
        since, success = self.backoff.failing_since, self._succeeded_at
        return {
            "destination": self.label,
            "endpoint": self.destination.address,
            "signal": self.destination.signal,
            "protocol": self.destination.protocol,
            **self.destination.traits,
            "state": self.state,
            "reason": self.backoff.reason or self._refusals.reason,
            "remedy": self._remedy or self._refusals.remedy,
            "command": self._command,
            "failing_s": None if since is None else round(now - since, 1),
            "last_success_s": None if success is None else round(now - success, 3),
            "oldest_s": None if oldest is None else max(now_ms - oldest, 0) / 1000,
            "spool_bytes": self.queue.bytes,
            "spool_max_bytes": self.queue.max_bytes,
            **self.accounting.status(),
        }

    def _start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._run(), name=f"export to {self.label}")

    def _configure(self, destination: Destination, *, is_known: bool) -> None:
        self._used_at = self._loop.time()
        self.destination = destination
        self.is_known = is_known
        self._resource = encode_resource(dict(destination.resource_attributes))
        protocol = "grpc" if destination.protocol == "grpc" else "http"
        self._component = f"otlp_{protocol}_{_COMPONENTS[destination.signal]}_exporter"
        self.queue.identity, self.queue.description = destination.identity, destination.description
        self.queue.max_bytes = destination.batch_export.spool_max_bytes

    def _on_queued(self) -> None:
        # Called for every added batch. Most do not fill a request, and none matters while the destination fails.
        if self._is_idle or (
            self.queue.spans >= self.destination.batch_export.send_batch_size
            and self.backoff.failing_since is None
            and self._may_send()
        ):
            self._wake.set()

    def _may_send(self) -> bool:
        return self.is_known and len(self._sending) < (CONCURRENT_REQUESTS if self.backoff.failing_since is None else 1)

    def _delay(self) -> float | None:
        """Return the seconds until the next request; None if an event will wake the loop."""
        if not self.queue.spans or not self._may_send():
            return None
        limits, is_failing = self.destination.batch_export, self.backoff.failing_since is not None
        if is_failing or self._is_flushing or self.queue.spans >= limits.send_batch_size:
            return self.backoff.delay() if is_failing else 0.0
        oldest = self.queue.oldest_at_ms
        return 0.0 if oldest is None else max(oldest + limits.timeout - self._spool.now_ms(), 0) / 1000

    async def _run(self) -> None:
        while True:
            try:
                await self._step()
            except Exception as error:
                self._log_internal_error(error)
                await asyncio.sleep(_DISK_SECONDS)

    async def _step(self) -> None:
        """Send a request that is due, or wait until one may be."""
        if self.backoff.failing_since is not None:
            await self._expire(self.backoff.failing_since)
        self._wake.clear()
        delay = self._delay()
        if delay == 0:
            await self._send_next()
            return
        self._is_idle = delay is None and self._may_send()
        timer = None if delay is None else self._loop.call_later(delay, self._wake.set)
        await self._wake.wait()
        if timer is not None:
            timer.cancel()

    async def _expire(self, failing_since: float) -> None:
        limit = self.destination.batch_export.max_retry_time
        if limit and not self.backoff.held and self._loop.time() - failing_since >= limit:
            await self.queue.expire(self._spool.now_ms() - limit * 1000)

    async def _send_next(self) -> None:
        await self._slots.acquire()
        try:
            batches = await self.queue.pop(self.destination.batch_export.send_batch_size, MAX_REQUEST_BYTES)
        except BaseException:
            self._slots.release()
            raise
        if not batches:
            self._slots.release()
            await asyncio.sleep(_DISK_SECONDS)
            return
        task = asyncio.create_task(self._send(InFlightBatch(batches, self.queue, self.accounting)))
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._used_at = self._loop.time()
        if self.queue.spans or not self._is_idle:
            self._wake.set()

    async def _send(self, batch: InFlightBatch) -> None:
        try:
            try:
                refusal = await self._attempt(batch)
            finally:
                self._slots.release()
            if refusal is not None and not await self._refuses_everything(refusal):
                self._log_rejected(batch.reject(), refusal)
        except Exception as error:
            self._log_internal_error(error)
        finally:
            batch.close()

    def _log_internal_error(self, error: Exception) -> None:
        sentence = "internal error in exporter for %s; its %s are kept"
        self._internal_error.warning(sentence, self.label, self.accounting.nouns, exc_info=True)
        self.backoff.record_failure(f"{type(error).__name__}: {error}")

    async def _attempt(self, batch: InFlightBatch) -> ExportResult | None:
        """Send a batch and return the collector's answer if it refused every span, otherwise None."""
        if sum(map(len, batch.payloads)) > MAX_REQUEST_BYTES:
            return await self._bisection.send(batch)
        result = await self._export(batch.payloads)
        if result.action is Action.SUCCESS:
            batch.accept(result.rejected)
            self._record_accepted(batch.spans, result)
            if result.rejected >= batch.spans:
                self._count_refused(result)
        elif result.action is Action.SPLIT and batch.spans > 1:
            return await self._bisection.send(batch)
        return result if result.action in {Action.SPLIT, Action.DROP} else None

    async def _refuses_everything(self, refusal: ExportResult) -> bool:
        self._count_refused(refusal)
        if not self._refusals.is_everything and not self._is_flushing:
            await self._refusals.wait_for_decision()
        return self._refusals.is_everything or bool(self.backoff.held)

    def _count_refused(self, refusal: ExportResult) -> None:
        self._refusals.add(refusal)
        if self._refusals.is_everything:
            self._remedy = self._refusals.remedy
            self._fail(refusal, "refused")

    def _record_accepted(self, spans: int, result: ExportResult) -> None:
        if result.rejected:
            self._log_rejected(result.rejected, result)
        if spans > result.rejected:
            self._refusals.clear()

    async def _export(self, payloads: Sequence[bytes]) -> ExportResult:
        if self._transport is None:
            self._transport = self._new_transport(self.destination)
        started = self._loop.time()
        result = await self._transport.export(request(self._resource, payloads))
        ended = self._loop.time()
        self.accounting.record_export_duration(self._component, ended - started, result.error_type)
        if result.action is Action.RETRY or result.action in HOLD_REASONS:
            self._remedy = result.remedy or remedy_for(result.action, self.destination)
            self._command = result.command
            self._fail(result, HOLD_REASONS.get(result.action, ""))
        elif self.backoff.failing_since is not None and not (
            self._refusals.is_everything and result.action is not Action.SUCCESS
        ):
            self._recovered.info("export recovered: %s answers again", self.label)
            self.backoff.record_success()
            self.accounting.set_held("")
            self._remedy = self._command = ""
        if result.action is Action.SUCCESS:
            self._succeeded_at = ended
        return result

    def _fail(self, result: ExportResult, hold: str) -> None:
        self.backoff.record_failure(result.reason, result.delay_s, hold=hold)
        self.accounting.set_held(hold)
        if hold:
            self._refusals.decide()
        self._failed.warning(
            "export %s: %s: %s; %s wait in the spool%s",
            {"unauthorized": "unauthorized", "not_otlp": "failed, no OTLP endpoint"}.get(hold, hold or "failed"),
            self.label,
            result.reason,
            self.accounting.nouns,
            f". {self._remedy}" if self._remedy else "",
        )

    def _log_rejected(self, spans: int, result: ExportResult) -> None:
        nouns = self.accounting.nouns
        self._rejected.warning("%s rejected: %s refused %d: %s", nouns, self.label, spans, result.reason)
