"""Promises of sidecar/export/in_flight.py: each span of a request is answered for, or returns to its queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from delivery_doubles import encoded
from otlp_tracing.sidecar.export.accounting import SpanAccounting
from otlp_tracing.sidecar.export.in_flight import InFlightBatch
from otlp_tracing.sidecar.export.send_queue import SendQueue
from otlp_tracing.sidecar.export.unspooled import UnspooledBatches
from otlp_tracing.sidecar.spool.batch import SpooledBatch
from otlp_tracing.sidecar.spool.spool import Spool
from otlp_tracing.sidecar.telemetry.registry import Metrics


async def _nothing() -> None:
    pass


def in_flight(scene: Callable[[InFlightBatch, SendQueue], Awaitable[None]]) -> SpanAccounting:
    """Let a scene answer for two batches, of three spans and of one, and return the counts."""

    async def run() -> SpanAccounting:
        accounting, spool = SpanAccounting("c", Metrics()), Spool(None, lambda _: None, _nothing)
        queue = SendQueue(accounting, spool, UnspooledBatches(), lambda: None)
        queue.max_bytes = 1 << 20
        bodies = [encoded("a") + encoded("b") + encoded("c"), encoded("d")]
        accounting.receive(4)
        queue.add([SpooledBatch(bodies[0], 3, 0), SpooledBatch(bodies[1], 1, 0)], None)
        batch = InFlightBatch(await queue.pop(10, 1 << 20), queue, accounting)
        assert (batch.spans, batch.payloads) == (4, bodies)
        await scene(batch, queue)
        batch.close()
        assert accounting.discrepancy == 0
        assert accounting.in_flight == 0
        assert accounting.spooled == queue.spans
        return accounting

    return asyncio.run(run())


def test_an_accepted_request_is_settled() -> None:
    """Its spans are exported, except those that a partial success rejected."""

    async def scene(batch: InFlightBatch, _: SendQueue) -> None:
        batch.accept(1)

    counts = in_flight(scene)
    assert (counts.exported, counts.rejected, counts.spooled) == (3, 1, 0)


def test_a_request_without_an_answer_returns_to_the_queue() -> None:
    """All of its spans wait again."""

    async def scene(_batch: InFlightBatch, _: SendQueue) -> None:
        pass

    assert in_flight(scene).spooled == 4


def test_the_rest_of_a_split_batch_returns_to_the_queue() -> None:
    """Only the spans that were not answered for are sent again."""

    async def scene(batch: InFlightBatch, _: SendQueue) -> None:
        a, b, _c, d = batch.split()
        batch.accept_spans([a], 0)
        batch.reject_spans([d])
        batch.drop_spans([b], "too_large")

    counts = in_flight(scene)
    assert (counts.exported, counts.rejected, counts.dropped["too_large"], counts.spooled) == (1, 1, 1, 1)


def test_a_rejection_after_a_split_counts_only_the_rest() -> None:
    """A span that was too large to be sent is dropped, and not rejected as well."""

    async def scene(batch: InFlightBatch, _: SendQueue) -> None:
        first, *_rest = batch.split()
        batch.drop_spans([first], "too_large")
        assert batch.reject() == 3

    assert in_flight(scene).rejected == 3
