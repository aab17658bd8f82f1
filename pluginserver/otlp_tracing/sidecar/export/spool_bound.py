"""One bound on the disk space of all destinations together: past it the oldest batches are dropped."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable

from otlp_tracing.sidecar.export.send_queue import SendQueue
from otlp_tracing.sidecar.export.unspooled import UnspooledBatches

_STEP_BYTES = 256 << 10  # dropped of one destination before the oldest batches are looked for again: one batch


class SpoolBound:
    """Create and use it in one event loop.

    Args:
        max_bytes: by disk_bytes; None without a bound, because nothing is on disk.
        queues: the queues of all destinations.
        unspooled: those of their batches that take no disk space.
    """

    def __init__(
        self, max_bytes: int | None, queues: Callable[[], Iterable[SendQueue]], unspooled: UnspooledBatches
    ) -> None:
        self.max_bytes = max_bytes
        self._queues = queues
        self._unspooled = unspooled
        self._trimming: asyncio.Task[None] | None = None

    @property
    def bytes(self) -> int:
        """Bytes of all batches on disk, by disk_bytes."""
        return sum(queue.bytes for queue in self._queues()) - self._unspooled.bytes

    def enforce(self) -> None:
        """Drop the oldest batches if all together are too large. Call it after batches were added."""
        if self._trimming is None and self._excess() > 0:
            self._trimming = asyncio.create_task(self._trim(), name="trim the spool")

    async def close(self) -> None:
        """Wait for work that has begun."""
        if self._trimming is not None:
            await self._trimming

    def _excess(self) -> int:
        return 0 if self.max_bytes is None else self.bytes - self.max_bytes

    async def _trim(self) -> None:
        try:
            while (excess := self._excess()) > 0:
                queue = min(self._queues(), key=_oldest_at_ms)
                before = queue.bytes
                await queue.shrink(before - min(excess, _STEP_BYTES))
                if queue.bytes >= before:
                    return  # all are in flight, or the disk fails; the next batch tries again
        finally:
            self._trimming = None


def _oldest_at_ms(queue: SendQueue) -> float:
    oldest = queue.oldest_at_ms
    return math.inf if oldest is None else oldest
