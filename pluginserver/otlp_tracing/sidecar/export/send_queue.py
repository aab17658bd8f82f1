"""What waits for one destination, oldest first: some of it in memory, the rest on disk.

As long as exporter keeps up, rows are sent from memory and only deleted on disk. When it does not, they are
left on disk and read again when their turn comes, so that a long outage takes no memory. Order is kept but
for what a disk in trouble leaves in memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from otlp_tracing.sidecar.export.accounting import SpanAccounting
from otlp_tracing.sidecar.spool.batch import SpooledBatch, StoredDestination
from otlp_tracing.sidecar.spool.spool import Spool
from otlp_tracing.sidecar.spool.writer import DiskError

MAX_WARM_BYTES = 2 << 20  # rows of one destination kept in memory beside the disk: some seconds of traffic
_LOAD_BYTES = 1 << 20  # read at once: three batches of the usual size


class SendQueue:
    """Rows that wait, and those that are being sent.

    Its owner sets identity and description, which the spool asks for (Owner), and the bound.

    Args:
        accounting: where every span is accounted for.
        spool: keeps the rows.
        on_change: called when there is more.
    """

    def __init__(self, accounting: SpanAccounting, spool: Spool, on_change: Callable[[], None]) -> None:
        self.identity = b""
        self.description = ""
        self.max_bytes = 0  # by cost(); past it the oldest are dropped
        self._accounting = accounting
        self._spool = spool
        self._on_change = on_change
        self._front: deque[SpooledBatch] = deque()
        self._back: deque[SpooledBatch] = deque()  # in memory alone, behind rows on disk
        self._warm_bytes = 0
        self._warm_spans = 0
        self._after = self._until = 0  # ids between which rows lie on disk that are not in memory
        self._cold_rows = self._cold_spans = self._cold_bytes = 0
        self._cold_at_ms = 0
        self._held: set[int] = set()  # ids on disk of rows that are in memory, or about to be deleted
        self._sent_bytes = 0
        self._disk = asyncio.Lock()
        self._trimming: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<SendQueue {len(self._front)} + {len(self._back)} rows in memory, {self._cold_rows} on disk alone>"

    @property
    def spans(self) -> int:
        """Spans that can be sent."""
        return self._warm_spans + self._cold_spans

    @property
    def bytes(self) -> int:
        """What all rows take, those that are being sent among them, by cost()."""
        return self._warm_bytes + self._cold_bytes + self._sent_bytes

    @property
    def oldest_at_ms(self) -> int | None:
        """When the oldest waiting row came, by the spool's clock, as far as memory knows."""
        self._skip_dropped()
        if self._front:
            return self._front[0].at_ms
        if self._cold_rows:
            return self._cold_at_ms
        return self._back[0].at_ms if self._back else None

    def attach(self, stored: StoredDestination) -> None:
        """Take over what an earlier process left on disk."""
        self._after = stored.first_id
        self._until = stored.last_id
        self._cold_at_ms = min(stored.oldest_ms, self._spool.now_ms())
        self._cold_rows += stored.rows
        self._cold_spans += stored.spans
        self._cold_bytes += stored.cost
        self._on_change()

    def add(self, rows: Sequence[SpooledBatch]) -> None:
        """Take rows over that are safe now."""
        for row in rows:
            row.is_waiting = True
            if row.id and (self._cold_rows or self._warm_bytes > MAX_WARM_BYTES):
                self._chill(row)
            else:
                self._keep(row, self._back if self._cold_rows else self._front)
        if self.bytes > self.max_bytes and self._trimming is None:
            self._trimming = asyncio.create_task(self._trim())
        self._on_change()

    def stored(self, row: SpooledBatch) -> None:
        """Know that a row which was in memory alone is on disk."""
        self._know(row.id)
        self._held.add(row.id)
        self._until = max(self._until, row.id)

    def released(self, ids: Iterable[int]) -> None:
        """Know that rows are gone from the disk for good."""
        self._held.difference_update(ids)

    def overflow(self, row: SpooledBatch) -> None:
        """Drop a waiting row for which memory has no room."""
        self._lose(row, "memory_full")

    async def take(self, max_spans: int, max_bytes: int) -> list[SpooledBatch]:
        """Take the oldest rows for sending: as many as fit, one at the least; none if the disk gives none."""
        if self._cold_rows and self._warm_spans < max_spans:
            await self._load()
        if not self._front and not self._cold_rows:
            self._front, self._back = self._back, self._front
        source = self._front or self._back
        rows: list[SpooledBatch] = []
        spans = size = 0
        while source:
            row = source[0]
            if row.is_waiting and rows and (spans + row.spans > max_spans or size + len(row.body) > max_bytes):
                break
            source.popleft()
            if row.is_waiting:
                rows.append(row)
                spans += row.spans
                size += len(row.body)
        for row in rows:
            row.is_waiting = False
            self._warm_spans -= row.spans
            self._warm_bytes -= row.cost
            self._sent_bytes += row.cost
        self._accounting.send(spans)
        return rows

    def put_back(self, rows: Sequence[SpooledBatch]) -> None:
        """Let rows that were not delivered wait again, before all others."""
        for row in reversed(rows):
            row.is_waiting = True
            self._front.appendleft(row)
            self._warm_spans += row.spans
            self._warm_bytes += row.cost
            self._sent_bytes -= row.cost
        self._accounting.put_back(sum(row.spans for row in rows))
        self._on_change()

    def rewrite(self, row: SpooledBatch) -> None:
        """Let the spool know what is left of a row of which a part was delivered."""
        self._spool.rewrite(row)

    def settle(self, rows: Iterable[SpooledBatch]) -> None:
        """Forget rows of which every span was delivered or rejected."""
        rows = list(rows)
        self._sent_bytes -= sum(row.cost for row in rows)
        self._spool.delete(self, rows)

    async def expire(self, before_ms: int) -> None:
        """Drop what came before, by the spool's clock."""
        async with self._disk:
            for row in [row for row in (*self._front, *self._back) if row.is_waiting and row.at_ms < before_ms]:
                self._give_up(row, "retry_expired")
            await self._drop_on_disk("retry_expired", before_ms=before_ms)

    async def end(self) -> None:
        """Wait for what is being done with the disk."""
        if self._trimming is not None:
            await self._trimming

    def _keep(self, row: SpooledBatch, where: deque[SpooledBatch]) -> None:
        where.append(row)
        self._warm_spans += row.spans
        self._warm_bytes += row.cost
        if row.id:
            self._know(row.id)
            self._held.add(row.id)
            if not self._cold_rows:
                # Nothing on disk is older: what is read next comes after this one.
                self._after = self._until = row.id

    def _know(self, id_: int) -> None:
        # A destination's ids have its number in front; other destinations' rows lie below.
        self._after = self._after or id_ - 1

    def _chill(self, row: SpooledBatch) -> None:
        self._know(row.id)
        if not self._cold_rows:
            self._cold_at_ms = row.at_ms
        self._cold_rows += 1
        self._cold_spans += row.spans
        self._cold_bytes += row.cost
        self._until = row.id
        row.is_waiting = False
        row.body = b""

    def _skip_dropped(self) -> None:
        for rows in (self._front, self._back):
            while rows and not rows[0].is_waiting:
                rows.popleft()

    def _lose(self, row: SpooledBatch, reason: str) -> None:
        row.is_waiting = False
        self._warm_spans -= row.spans
        self._warm_bytes -= row.cost
        self._accounting.drop(row.spans, reason)
        row.body = b""
        self._skip_dropped()

    def _give_up(self, row: SpooledBatch, reason: str) -> None:
        self._lose(row, reason)
        self._spool.delete(self, [row])

    def _give_up_until_it_fits(self, rows: deque[SpooledBatch]) -> None:
        self._skip_dropped()
        while rows and self.bytes > self.max_bytes:
            self._give_up(rows[0], "spool_full")

    async def _load(self) -> None:
        async with self._disk:
            if not self._cold_rows:
                return
            try:
                loaded = await self._spool.load(self._after, self._until, _LOAD_BYTES, self._held)
            except DiskError:
                return
            now_ms = self._spool.now_ms()
            for row in loaded.rows:
                row.is_waiting = True
                # The clock may have been set back since.
                row.at_ms = min(row.at_ms, now_ms)
                self._held.add(row.id)
                self._front.append(row)
                self._warm_spans += row.spans
                self._warm_bytes += row.cost
                self._count_cold(row.spans, row.cost)
            for row in loaded.broken:
                self._count_cold(row.spans, row.cost)
                self._accounting.drop(row.spans, "corrupt")
            if loaded.broken:
                self._held.update(row.id for row in loaded.broken)
                self._spool.delete(self, loaded.broken)
            if loaded.rows:
                self._cold_at_ms = loaded.rows[-1].at_ms
            self._looked_at(loaded.last_id)

    def _count_cold(self, spans: int, cost: int, rows: int = 1) -> None:
        self._cold_rows -= rows
        self._cold_spans -= spans
        self._cold_bytes -= cost

    def _looked_at(self, last_id: int) -> None:
        self._after = max(self._after, last_id)
        if self._after >= self._until and (self._cold_rows or self._cold_spans):
            # What should have been there went with a broken part of the file.
            self._accounting.drop(self._cold_spans, "corrupt")
            self._cold_rows = self._cold_spans = self._cold_bytes = 0

    async def _trim(self) -> None:
        try:
            async with self._disk:
                self._give_up_until_it_fits(self._front)
                await self._drop_on_disk("spool_full", want=self.bytes - self.max_bytes)
                self._give_up_until_it_fits(self._back)
        finally:
            self._trimming = None

    async def _drop_on_disk(self, reason: str, *, want: int = 0, before_ms: int = 0) -> None:
        if not self._cold_rows or (want <= 0 and not before_ms):
            return
        try:
            dropped = await self._spool.drop(
                self._after, self._until, self._held, want=max(want, 0), before_ms=before_ms
            )
        except DiskError:
            return
        self._count_cold(dropped.spans, dropped.cost, dropped.rows)
        self._accounting.drop(dropped.spans, reason)
        self._looked_at(dropped.last_id)
