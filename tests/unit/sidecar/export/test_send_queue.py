"""Promises of sidecar/export/send_queue.py: the order of batches, in memory and on disk, and their bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from otlp_tracing.sidecar.export import send_queue as module
from otlp_tracing.sidecar.export.accounting import SpanAccounting
from otlp_tracing.sidecar.export.send_queue import SendQueue
from otlp_tracing.sidecar.export.unspooled import UnspooledBatches
from otlp_tracing.sidecar.spool.batch import SpooledBatch
from otlp_tracing.sidecar.spool.spool import Spool
from otlp_tracing.sidecar.telemetry.registry import Metrics


class Life:
    """A queue on a spool."""

    def __init__(self, folder: Path) -> None:
        self.accounting = SpanAccounting("c", Metrics())
        self.spool = Spool(folder, lambda _: None, self._store_nothing)
        self.queue = SendQueue(self.accounting, self.spool, UnspooledBatches(), lambda: None)
        self.queue.identity, self.queue.description, self.queue.max_bytes = b"c", "{}", 1 << 30

    async def _store_nothing(self) -> None:
        pass

    async def add(self, *names: str, is_stored: bool = True) -> None:
        """Add a batch of two spans for each name."""
        for name in names:
            batches = [SpooledBatch(name.encode() * 100, 2, 1_000)]
            ids = None
            if is_stored:
                (ids,) = await self.spool.append([(self.queue.digest, "{}", batches)], {})
            self.accounting.receive(2)
            self.queue.add(batches, ids)

    async def pop(self, max_spans: int = 1000) -> str:
        """Return the first letters of the popped batches."""
        batches = await self.queue.pop(max_spans, 1 << 20)
        self.queue.settle(batches)
        self.accounting.export(2 * len(batches))
        return "".join(chr(batch.body[0]) for batch in batches)


def queued(folder: Path, scene: Callable[[Life], Awaitable[None]]) -> None:
    async def run() -> None:
        life = Life(folder)
        await life.spool.start(5)
        await scene(life)
        await life.queue.close()
        await life.spool.close(5)
        assert life.accounting.discrepancy == 0
        assert life.accounting.spooled == life.queue.spans

    asyncio.run(run())


@pytest.mark.parametrize("in_memory", [0, 250, 1 << 20])
def test_batches_come_in_order_from_memory_and_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    """Wherever they wait, the oldest is sent first, and none twice."""
    monkeypatch.setattr(module, "MAX_IN_MEMORY_BYTES", in_memory)
    monkeypatch.setattr(module, "_LOAD_BYTES", 150)

    async def scene(life: Life) -> None:
        await life.add(*"abcdef")
        sent = await life.pop(4)
        await life.add(*"ghi")
        while life.queue.spans:
            sent += await life.pop(4)
        assert sent == "abcdefghi"
        assert life.queue.bytes == 0

    queued(tmp_path, scene)


def test_a_batch_that_is_put_back_is_the_next(tmp_path: Path) -> None:
    """It waits before all others."""

    async def scene(life: Life) -> None:
        await life.add(*"abc")
        life.queue.put_back(await life.queue.pop(2, 1 << 20))
        assert await life.pop() == "abc"

    queued(tmp_path, scene)


def test_a_batch_larger_than_a_request_is_popped_alone(tmp_path: Path) -> None:
    """Otherwise it could never be sent."""

    async def scene(life: Life) -> None:
        await life.add(*"ab")
        assert await life.pop(1) == "a"

    queued(tmp_path, scene)


def test_past_the_bound_the_oldest_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First those in memory, then those on disk, then those in memory that are younger."""
    monkeypatch.setattr(module, "MAX_IN_MEMORY_BYTES", 250)

    async def scene(life: Life) -> None:
        await life.add(*"abcdef")
        life.queue.max_bytes = 3 * 176
        await life.add("g")
        await life.queue.close()
        assert life.accounting.dropped == {"spool_full": 8}
        assert await life.pop() == "efg"

    queued(tmp_path, scene)


def test_expired_batches_are_dropped_in_memory_and_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their arrival."""
    monkeypatch.setattr(module, "MAX_IN_MEMORY_BYTES", 250)

    async def scene(life: Life) -> None:
        await life.add(*"abcdef")
        await life.queue.expire(1_000)
        assert life.queue.spans == 12
        await life.queue.expire(1_001)
        assert life.accounting.dropped == {"retry_expired": 12}

    queued(tmp_path, scene)
