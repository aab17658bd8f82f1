"""Delivery to one destination: gather spans into batches, send them, count what became of each.

What the collector does not take is counted and given up; there is no second attempt and no disk behind
this yet. One slow destination delays no other: each has a loop and a channel of its own.

Source: opentelemetry-proto, docs/specification.md (OTLP/gRPC).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otlp_tracing.contract.counters import (
    SPANS_DROPPED,
    SPANS_EXPORTED,
    SPANS_IN_FLIGHT,
    SPANS_QUEUED,
    SPANS_RECEIVED,
    SPANS_REJECTED,
)
from otlp_tracing.errors import ConfigError
from otlp_tracing.limited_log import LimitedLog
from otlp_tracing.sidecar.channel import open_channel
from otlp_tracing.sidecar.destination import Destination
from otlp_tracing.sidecar.metrics import Metrics
from otlp_tracing.sidecar.otlp import encode_resource, request

__all__ = ["Exporter"]

# About 50 MiB of spans of the usual size, half a minute of 1,000 requests/s.
MAX_QUEUED_SPANS = 60_000
# A request must stay below 4 MiB before compression (OTLP); the rest is for resource and framing.
MAX_BATCH_BYTES = 3_500_000
_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_ATTEMPT_SECONDS = 10.0  # the specification's default timeout


class Exporter:
    """Exports to one destination. Must be made and used in one event loop."""

    def __init__(self, destination: Destination, metrics: Metrics) -> None:
        self._destination = destination
        self._metrics = metrics
        self._label = destination.endpoint
        self._resource = encode_resource(dict(destination.resource_attributes))
        self._queue: deque[bytes] = deque()
        self._in_flight = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._losses = LimitedLog(logging.getLogger("otlp_tracing.sidecar.exporter"))
        self._channel: grpc.aio.Channel | None = None
        for metric in (SPANS_RECEIVED, SPANS_EXPORTED, SPANS_REJECTED):
            metrics.add(metric, self._label, amount=0)
        metrics.gauge(SPANS_QUEUED, self._label, lambda: len(self._queue))
        metrics.gauge(SPANS_IN_FLIGHT, self._label, lambda: self._in_flight)
        self._task = asyncio.create_task(self._run(), name=f"export to {self._label}")

    def __repr__(self) -> str:
        return f"<Exporter {self._label} | {len(self._queue)} queued, {self._in_flight} in flight>"

    def submit(self, spans: Sequence[bytes]) -> None:
        """Take the spans of one request over, all or none."""
        self._metrics.add(SPANS_RECEIVED, self._label, amount=len(spans))
        if len(self._queue) + len(spans) > MAX_QUEUED_SPANS:
            self._metrics.add(SPANS_DROPPED, self._label, "queue_full", amount=len(spans))
            return
        was_empty = not self._queue
        self._queue.extend(spans)
        if was_empty or len(self._queue) >= self._destination.batch_export.send_batch_size:
            self._wake.set()

    def refuse(self, spans: int) -> None:
        """Count spans that could not even be encoded."""
        self._metrics.add(SPANS_RECEIVED, self._label, amount=spans)
        self._metrics.add(SPANS_DROPPED, self._label, "bad_span", amount=spans)

    async def close(self, seconds: float) -> None:
        """Send what is queued, for so long at the most; count the rest as dropped."""
        self._closing = True
        self._wake.set()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._task, seconds)
        left = len(self._queue) + self._in_flight
        self._metrics.add(SPANS_DROPPED, self._label, "shutdown", amount=left)
        self._queue.clear()
        if self._channel is not None:
            await self._channel.close(None)

    async def _run(self) -> None:
        while self._queue or not self._closing:
            await self._wait_for_batch()
            batch = self._take_batch()
            if batch:
                self._in_flight = len(batch)
                await self._export(batch)
                self._in_flight = 0

    async def _wait_for_batch(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._queue and not self._closing:
            self._wake.clear()
            await self._wake.wait()
        deadline = loop.time() + self._destination.batch_export.timeout / 1000
        while len(self._queue) < self._destination.batch_export.send_batch_size and not self._closing:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), deadline - loop.time())
            except asyncio.TimeoutError:
                return

    def _take_batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._queue and len(batch) < self._destination.batch_export.send_batch_size:
            size += len(self._queue[0])
            if batch and size > MAX_BATCH_BYTES:
                break
            batch.append(self._queue.popleft())
        return batch

    async def _export(self, batch: list[bytes]) -> None:
        try:
            if self._channel is None:
                self._channel = await open_channel(self._destination)
            export = self._channel.unary_unary(_METHOD, None, ExportTraceServiceResponse.FromString)
            response = await export(
                request(self._resource, batch), timeout=_ATTEMPT_SECONDS, metadata=self._destination.headers
            )
        except (grpc.aio.AioRpcError, ConfigError, OSError, ValueError) as error:
            await self._failed(error, len(batch))
            return
        rejected = min(max(response.partial_success.rejected_spans, 0), len(batch))
        if rejected:
            self._metrics.add(SPANS_REJECTED, self._label, amount=rejected)
            sentence = response.partial_success.error_message[:200]
            self._losses.warning("%s rejected %d spans: %s", self._label, rejected, sentence)
        self._metrics.add(SPANS_EXPORTED, self._label, amount=len(batch) - rejected)

    async def _failed(self, error: Exception, spans: int) -> None:
        self._metrics.add(SPANS_DROPPED, self._label, "export_failed", amount=spans)
        if isinstance(error, grpc.aio.AioRpcError):
            reason = f"{error.code().name}: {(error.details() or '')[:200]}"
        else:
            reason = str(error)
        self._losses.warning("%d spans could not be sent to %s (%s)", spans, self._label, reason)
        if self._channel is not None and self._destination.tls.insecure_skip_verify:
            # The certificate that was trusted may have changed.
            await self._channel.close(None)
            self._channel = None
