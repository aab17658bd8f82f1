"""The batches of all destinations that are in memory alone, because the disk takes no writes or there is no spool.

They are acknowledged like others, so a killed process loses them; /readyz, the log and a gauge say so meanwhile.
Their size is bounded: past the bound the oldest waiting ones are dropped and counted.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from otlp_tracing.sidecar.spool.batch import SpooledBatch
from otlp_tracing.sidecar.spool.spool import Spool

if TYPE_CHECKING:
    from otlp_tracing.sidecar.export.send_queue import SendQueue

# Half a minute of 1,000 requests/s while the disk is full, and a quarter of the memory that the sidecar may take.
MAX_MEMORY_BYTES = 32 << 20
_BYTES_A_TRANSACTION = 1 << 20


class UnspooledBatches:
    """Knows which queue each of them is in, oldest first. The queues change the batches.

    Args:
        max_bytes: the bound, by disk_bytes.
    """

    def __init__(self, max_bytes: int = MAX_MEMORY_BYTES) -> None:
        self._max_bytes = max_bytes
        self.bytes = 0  # by disk_bytes
        self._queues: dict[SpooledBatch, SendQueue] = {}

    @property
    def spans(self) -> int:
        """Number of spans that a kill would lose."""
        return sum(batch.spans for batch in self._queues)

    def spans_of(self, queues: Container[SendQueue]) -> int:
        """Return the number of those that are in some queues."""
        return sum(batch.spans for batch, queue in self._queues.items() if queue in queues)

    def add(self, queue: SendQueue, batches: Sequence[SpooledBatch]) -> None:
        """Add batches of a queue, and let the queues drop the oldest waiting ones past the bound."""
        for batch in batches:
            self._queues[batch] = queue
            self.bytes += batch.disk_bytes
        excess = self.bytes - self._max_bytes
        evicted = []
        for batch, owner in self._queues.items():
            if excess <= 0:
                break
            if batch.is_waiting:
                evicted.append((batch, owner))
                excess -= batch.disk_bytes
        for batch, owner in evicted:
            owner.drop(batch, "memory_full")

    def discard(self, batch: SpooledBatch) -> bool:
        """Remove a batch that is stored, delivered or dropped; tell whether it was here."""
        if self._queues.pop(batch, None) is None:
            return False
        self.bytes -= batch.disk_bytes
        return True

    async def store(self, spool: Spool) -> None:
        """Store all that wait.

        Raises:
            DiskError: if the disk fails.
        """
        while some := self._oldest():
            # Copies: a batch changes if it is sent meanwhile and a part of it is delivered.
            work = [
                (queue.digest, queue.description, [SpooledBatch(batch.body, batch.spans, batch.at_ms)])
                for batch, queue in some
            ]
            for (batch, queue), (id_,) in zip(some, await spool.append(work, {}), strict=True):
                if self.discard(batch):
                    queue.set_stored(batch, id_)
                else:  # answered for or dropped meanwhile
                    spool.delete([id_])

    def _oldest(self) -> list[tuple[SpooledBatch, SendQueue]]:
        some, size = [], 0
        for batch, queue in self._queues.items():
            # A batch in flight is most likely delivered before it could be written.
            if batch.is_waiting:
                some.append((batch, queue))
                size += batch.disk_bytes
                if size > _BYTES_A_TRANSACTION:
                    break
        return some
