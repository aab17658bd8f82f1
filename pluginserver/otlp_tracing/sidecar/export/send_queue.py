"""The batches that wait for one destination, oldest first: some in memory, the others on disk alone.

While the collector keeps up, batches are sent from memory, and on disk only deleted. Otherwise they are evicted to
disk and loaded again when it is their turn, so a long outage takes no memory. The order is kept, except for batches
that a failing disk left in memory.

The queue alone changes a batch and decides its fate. The spool does the work on the file.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from otlp_tracing.sidecar.export.accounting import SpanAccounting
from otlp_tracing.sidecar.export.batching import take_waiting
from otlp_tracing.sidecar.export.unspooled import UnspooledBatches
from otlp_tracing.sidecar.spool.batch import SpooledBatch, StoredDestination
from otlp_tracing.sidecar.spool.spool import Spool
from otlp_tracing.sidecar.spool.writer import DiskError

MAX_IN_MEMORY_BYTES = 2 << 20  # of batches that are on disk too: some seconds of traffic
_LOAD_BYTES = 1 << 20  # read from disk at once: three batches of the usual size


class SendQueue:
    """Batches that wait or are in flight.

    Args:
        accounting: where every span is counted.
        spool: stores the batches.
        unspooled: those of all queues that are in memory alone.
        on_change: called when there is more to send.
    """

    def __init__(
        self, accounting: SpanAccounting, spool: Spool, unspooled: UnspooledBatches, on_change: Callable[[], None]
    ) -> None:
        self.description = ""  # of the destination, without its secrets; stored
        self.max_bytes = 0  # by disk_bytes; past it the oldest batches are dropped
        self.spans = 0  # that can be sent
        self.bytes = 0  # by disk_bytes, with the batches in flight
        self._identity = b""
        self._digest: bytes | None = None
        self._accounting = accounting
        self._spool = spool
        self._unspooled = unspooled
        self._on_change = on_change
        # In memory. Batches that were dropped stay until they are at the front of their deque.
        self._head: deque[SpooledBatch] = deque()
        self._tail: deque[SpooledBatch] = deque()  # younger than the batches on disk
        self._memory_spans = self._memory_bytes = 0
        # On disk alone, with ids in (after, until] that are not pinned.
        self._disk_after = self._disk_until = 0
        self._disk_batches = self._disk_spans = self._disk_bytes = 0
        self._disk_oldest_ms = 0
        self._pinned_ids: set[int] = set()  # on disk, and in memory or about to be deleted
        self._disk_lock = asyncio.Lock()
        self._trimming: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        in_memory = len(self._head) + len(self._tail)
        return f"<SendQueue {in_memory} batches in memory, {self._disk_batches} on disk alone>"

    @property
    def identity(self) -> bytes:
        """The destination's distinguishing settings, with its secrets; never stored."""
        return self._identity

    @identity.setter
    def identity(self, identity: bytes) -> None:
        self._identity, self._digest = identity, None

    @property
    def digest(self) -> bytes:
        """The destination's name in the spool's file, which must have been opened before."""
        if self._digest is None:
            self._digest = self._spool.digest(self._identity)
        assert self._digest is not None
        return self._digest

    @property
    def oldest_at_ms(self) -> int | None:
        """Arrival of the oldest waiting batch by the spool's clock, as far as memory knows."""
        self._skip_dropped()
        if self._head:
            return self._head[0].at_ms
        if self._disk_batches:
            return self._disk_oldest_ms
        return self._tail[0].at_ms if self._tail else None

    def attach(self, stored: StoredDestination) -> None:
        """Take over the batches that an earlier process left on disk."""
        self._disk_after = stored.first_id
        self._disk_until = stored.last_id
        self._disk_oldest_ms = min(stored.oldest_ms, self._spool.now_ms())
        self._count_on_disk(stored.batches, stored.spans, stored.disk_bytes)
        self.spans += stored.spans
        self.bytes += stored.disk_bytes
        self._on_change()

    def add(self, batches: Sequence[SpooledBatch], ids: Sequence[int] | None) -> None:
        """Add new batches.

        Args:
            batches: youngest last.
            ids: theirs on disk; None if they are in memory alone.
        """
        for batch, id_ in zip(batches, ids or [0] * len(batches), strict=True):
            self.spans += batch.spans
            self.bytes += batch.disk_bytes
            if id_ and (self._disk_batches or self._memory_bytes > MAX_IN_MEMORY_BYTES):
                self._evict_to_disk(batch, id_)
                continue
            batch.is_waiting = True
            self._memory_spans += batch.spans
            self._memory_bytes += batch.disk_bytes
            (self._tail if self._disk_batches else self._head).append(batch)
            if id_:
                batch.id = id_
                self._pinned_ids.add(id_)
                # Nothing on disk is older. So the next batch to load is younger than this one.
                self._disk_after = self._disk_until = id_
        if ids is None:
            self._unspooled.add(self, batches)
        if self.bytes > self.max_bytes and self._trimming is None:
            self._trimming = asyncio.create_task(self._trim())
        self._on_change()

    def set_stored(self, batch: SpooledBatch, id_: int) -> None:
        """Set the id of a batch that was in memory alone and is on disk now."""
        batch.id = id_
        self._disk_after = self._disk_after or id_ - 1
        self._disk_until = max(self._disk_until, id_)
        self._pinned_ids.add(id_)

    async def pop(self, max_spans: int, max_bytes: int) -> list[SpooledBatch]:
        """Remove the oldest batches for sending: as many as fit, at least one; none if the disk fails."""
        if self._disk_batches and self._memory_spans < max_spans:
            await self._load()
        if not self._head and not self._disk_batches:
            self._head, self._tail = self._tail, self._head
        batches = take_waiting(self._head or self._tail, max_spans, max_bytes)
        spans = 0
        for batch in batches:
            batch.is_waiting = False
            spans += batch.spans
            self._memory_bytes -= batch.disk_bytes
        self.spans -= spans
        self._memory_spans -= spans
        self._accounting.send(spans)
        return batches

    def put_back(self, batches: Sequence[SpooledBatch]) -> None:
        """Let batches that were not delivered wait again, before all others."""
        for batch in reversed(batches):
            batch.is_waiting = True
            self._head.appendleft(batch)
            self.spans += batch.spans
            self._memory_spans += batch.spans
            self._memory_bytes += batch.disk_bytes
            self._accounting.put_back(batch.spans)
        self._on_change()

    def keep_rest(self, batch: SpooledBatch, spans: Sequence[bytes]) -> None:
        """Reduce a batch in flight to the spans that the collector has not answered for."""
        batch.body, batch.spans = b"".join(spans), len(spans)
        self._spool.rewrite(batch)

    def settle(self, batches: Sequence[SpooledBatch]) -> None:
        """Forget batches in flight of which every span was delivered or rejected."""
        ids = []
        for batch in batches:
            self.bytes -= batch.disk_bytes
            if batch.id:
                ids.append(batch.id)
            else:
                self._unspooled.discard(batch)
        if ids:
            self._delete(ids)

    def drop(self, batch: SpooledBatch, reason: str) -> None:
        """Drop a waiting batch."""
        batch.is_waiting = False
        self.spans -= batch.spans
        self._memory_spans -= batch.spans
        self._memory_bytes -= batch.disk_bytes
        self._accounting.drop(batch.spans, reason)
        batch.body = b""
        self.settle([batch])
        self._skip_dropped()

    async def expire(self, before_ms: int) -> None:
        """Drop the batches that arrived before, by the spool's clock."""
        async with self._disk_lock:
            for batch in [one for one in (*self._head, *self._tail) if one.is_waiting and one.at_ms < before_ms]:
                self.drop(batch, "retry_expired")
            await self._drop_on_disk("retry_expired", before_ms=before_ms)

    async def shrink(self, max_bytes: int) -> None:
        """Drop the oldest waiting batches until all take no more than so many bytes, by disk_bytes."""
        async with self._disk_lock:
            self._drop_until_it_fits(self._head, max_bytes)
            await self._drop_on_disk("spool_full", want=self.bytes - max_bytes)
            self._drop_until_it_fits(self._tail, max_bytes)

    async def close(self) -> None:
        """Wait for work on the disk that has begun."""
        if self._trimming is not None:
            await self._trimming

    def _delete(self, ids: Sequence[int]) -> None:
        self._spool.delete(ids).add_done_callback(lambda _: self._pinned_ids.difference_update(ids))

    def _evict_to_disk(self, batch: SpooledBatch, id_: int) -> None:
        self._disk_after = self._disk_after or id_ - 1
        self._disk_until = id_
        if not self._disk_batches:
            self._disk_oldest_ms = batch.at_ms
        self._count_on_disk(1, batch.spans, batch.disk_bytes)
        batch.body = b""

    def _skip_dropped(self) -> None:
        for batches in (self._head, self._tail):
            while batches and not batches[0].is_waiting:
                batches.popleft()

    def _count_on_disk(self, batches: int, spans: int, size: int) -> None:
        self._disk_batches += batches
        self._disk_spans += spans
        self._disk_bytes += size

    async def _load(self) -> None:
        async with self._disk_lock:
            if not self._disk_batches:
                return
            try:
                loaded = await self._spool.load(self._disk_after, self._disk_until, _LOAD_BYTES, self._pinned_ids)
            except DiskError:
                return
            now_ms = self._spool.now_ms()
            for batch in loaded.batches:
                batch.is_waiting = True
                # The clock may have been set back since.
                batch.at_ms = min(batch.at_ms, now_ms)
                self._pinned_ids.add(batch.id)
                self._head.append(batch)
                self._memory_spans += batch.spans
                self._memory_bytes += batch.disk_bytes
                self._count_on_disk(-1, -batch.spans, -batch.disk_bytes)
                self._disk_oldest_ms = batch.at_ms
            if loaded.broken:
                for batch in loaded.broken:
                    self._remove_on_disk(1, batch.spans, batch.disk_bytes, "corrupt")
                ids = [batch.id for batch in loaded.broken]
                self._pinned_ids.update(ids)
                self._delete(ids)
            self._examined_until(loaded.last_id)

    def _remove_on_disk(self, batches: int, spans: int, size: int, reason: str) -> None:
        self._count_on_disk(-batches, -spans, -size)
        self.spans -= spans
        self.bytes -= size
        self._accounting.drop(spans, reason)

    def _examined_until(self, last_id: int) -> None:
        self._disk_after = max(self._disk_after, last_id)
        if self._disk_after >= self._disk_until and (self._disk_batches or self._disk_spans):
            # The missing batches were in a broken part of the file.
            self._remove_on_disk(self._disk_batches, self._disk_spans, self._disk_bytes, "corrupt")

    async def _trim(self) -> None:
        try:
            await self.shrink(self.max_bytes)
        finally:
            self._trimming = None

    def _drop_until_it_fits(self, batches: deque[SpooledBatch], max_bytes: int) -> None:
        self._skip_dropped()
        while batches and self.bytes > max_bytes:
            self.drop(batches[0], "spool_full")

    async def _drop_on_disk(self, reason: str, *, want: int = 0, before_ms: int = 0) -> None:
        if not self._disk_batches or (want <= 0 and not before_ms):
            return
        try:
            dropped = await self._spool.drop(
                self._disk_after, self._disk_until, self._pinned_ids, want=max(want, 0), before_ms=before_ms
            )
        except DiskError:
            return
        self._remove_on_disk(dropped.batches, dropped.spans, dropped.disk_bytes, reason)
        self._examined_until(dropped.last_id)
