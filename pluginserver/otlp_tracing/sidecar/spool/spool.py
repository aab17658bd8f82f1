"""The spool as the sidecar's loop sees it: rows go in and are safe, come out again, and are deleted.

On disk as long as the disk takes them. When it does not (full, read-only, broken, held by the sidecar that is
about to end), rows are kept in memory up to a bound, oldest dropped and counted, and stored as soon as it does
again. Rows in memory are acknowledged like others: a process that is killed then loses them, which the gauge
and the log say as long as it is so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.sidecar.spool.batch import SpooledBatch
from otlp_tracing.sidecar.spool.database import Database, Dropped, Loaded, digest
from otlp_tracing.sidecar.spool.writer import DiskError, OpenedSpool, Writer

_log = logging.getLogger("otlp_tracing.sidecar.spool")

# Half a minute of 1,000 requests/s while the disk is full, and a quarter of what the sidecar may take in all.
MAX_MEMORY_BYTES = 32 << 20
# Handed to the writer and not yet stored; past it nothing is read from the gateway's processes, which keep it.
MAX_PENDING_BYTES = 8 << 20
_MEND_SECONDS = 1.0
_MEND_BYTES = 1 << 20  # stored in one transaction when the disk is back


class Owner(Protocol):
    """Whose rows they are: a destination's backlog."""

    @property
    def identity(self) -> bytes:
        """What makes this destination another than the next, its secrets included; never stored."""

    @property
    def description(self) -> str:
        """All but its secrets, as JSON; stored."""

    def add(self, rows: Sequence[SpooledBatch]) -> None:
        """Take rows over that are safe now."""

    def stored(self, row: SpooledBatch) -> None:
        """Know that a row which was in memory alone is on disk."""

    def released(self, ids: Iterable[int]) -> None:
        """Know that rows are gone from the disk for good."""

    def overflow(self, row: SpooledBatch) -> None:
        """Drop a waiting row for which memory has no room."""


class Spool:
    """Keeps rows. Must be made and used in one event loop.

    Args:
        folder: where; None keeps everything in memory.
        on_open: told what an opened file holds, before anything else is done with it.
        max_memory_bytes: of rows that are not on disk.
    """

    def __init__(
        self,
        folder: Path | None,
        on_open: Callable[[OpenedSpool], None],
        max_memory_bytes: int = MAX_MEMORY_BYTES,
        mend_seconds: float = _MEND_SECONDS,
    ) -> None:
        self._folder = folder
        self._on_open = on_open
        self._max_memory_bytes = max_memory_bytes
        self._mend_seconds = mend_seconds
        self._writer = Writer(folder, self._report) if folder is not None else None
        self._salt: bytes | None = None
        self._digests: dict[Owner, bytes] = {}
        self._takes = False
        self._trouble: str | None = "it is not open yet" if folder else None
        self._memory: dict[SpooledBatch, Owner] = {}
        self._memory_bytes = 0
        self._undeleted: dict[int, Owner] = {}
        self._pending_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._troubles, self._said, self._said_well = LimitedLog(_log), LimitedLog(_log), LimitedLog(_log)
        self._clock = asyncio.get_running_loop().time
        self._started_ms = time.time_ns() // 1_000_000
        self._started = self._clock()
        self._tending: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = self._trouble or ("in memory" if self._folder is None else "on disk")
        return f"<Spool {state} | {len(self._memory)} rows in memory, {self._pending_bytes} bytes pending>"

    @property
    def trouble(self) -> str | None:
        """Why rows are kept in memory, None if they are not or are meant to be."""
        return self._trouble

    def now_ms(self) -> int:
        """Return milliseconds since 1970 that never jump: the time at the start, and what has passed since."""
        return self._started_ms + int((self._clock() - self._started) * 1000)

    async def start(self, seconds: float) -> None:
        """Open the file and go on without it if that takes longer; then keep trying."""
        if self._writer is None:
            return
        opening = asyncio.ensure_future(self._mend())
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(opening), seconds)
        self._tending = asyncio.create_task(self._tend(opening), name="spool")

    def append(
        self, batch: Sequence[tuple[Owner, Sequence[SpooledBatch]]], senders: Mapping[bytes, int]
    ) -> asyncio.Future[None]:
        """Take rows over; their owners get them as soon as they are safe.

        Args:
            batch: rows by owner.
            senders: by sender the number of the last record that these rows are made of.

        Returns:
            Done when all are safe; it never fails.
        """
        if self._writer is not None and self._takes:
            try:
                return self._store_batch(self._writer, batch, senders)
            except Exception as error:
                # The receiver counts the records as taken by now: nobody sends them again.
                self._report(error)
        safe: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keep_in_memory(batch)
        safe.set_result(None)
        return safe

    def _store_batch(
        self, writer: Writer, batch: Sequence[tuple[Owner, Sequence[SpooledBatch]]], senders: Mapping[bytes, int]
    ) -> asyncio.Future[None]:
        safe: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        work = [(self._digest(owner), owner.description, rows) for owner, rows in batch]
        size = sum(len(row.body) for _, rows in batch for row in rows)

        def store(database: Database) -> list[list[int]]:
            ids = [database.append(*one) for one in work]
            database.remember(senders)
            return ids

        def stored(future: asyncio.Future[list[list[int]]]) -> None:
            self._count_pending(-size)
            if future.exception() is None:
                for (owner, rows), ids in zip(batch, future.result(), strict=True):
                    for row, id_ in zip(rows, ids, strict=True):
                        row.id = id_
                    owner.add(rows)
            else:
                self._report(future.exception())
                self._keep_in_memory(batch)
            safe.set_result(None)

        writer.write(store).add_done_callback(stored)
        self._count_pending(size)
        return safe

    async def room(self) -> None:
        """Wait until not too much is on its way to the disk."""
        await self._has_room.wait()

    def delete(self, owner: Owner, rows: Iterable[SpooledBatch]) -> None:
        """Forget rows that were delivered or dropped."""
        gone = []
        for row in rows:
            self._forget(row)
            if row.id:
                gone.append(row.id)
        if gone:
            self._delete(owner, gone)

    def rewrite(self, row: SpooledBatch) -> None:
        """Store what is left of a row of which a part was delivered; if the disk does not, all of it comes again."""
        if row.id and self._writer is not None and self._takes:
            copy = SpooledBatch(row.body, row.spans, row.at_ms, row.id)
            self._writer.write(lambda database: database.rewrite(copy)).add_done_callback(_ignore)

    def forget(self, owner: Owner) -> None:
        """Forget an owner of which no row is anywhere; its destination gets a new one when it comes again."""
        digest_ = self.digest(owner.identity)
        self._digests.pop(owner, None)
        if digest_ is not None and self._writer is not None and self._takes:
            self._writer.write(lambda database: database.forget(digest_)).add_done_callback(_ignore)

    async def load(self, after: int, until: int, max_bytes: int, excluded: Iterable[int]) -> Loaded:
        """Read rows from the disk, see Database.load(). Raises DiskError."""
        assert self._writer is not None
        skipped = list(excluded)
        try:
            return await self._writer.read(lambda database: database.load(after, until, max_bytes, skipped))
        except DiskError as error:
            self._troubles.warning("waiting spans cannot be read from the disk: %s", error)
            raise

    async def drop(
        self, after: int, until: int, excluded: Iterable[int], *, want: int = 0, before_ms: int = 0
    ) -> Dropped:
        """Delete the oldest rows, see Database.drop(). Raises DiskError."""
        assert self._writer is not None
        skipped = list(excluded)
        return await self._writer.write(
            lambda database: database.drop(after, until, skipped, want=want, before_ms=before_ms)
        )

    async def close(self, seconds: float) -> int:
        """Store what is in memory if the disk takes it, and bring everything to the disk; for so long at the most.

        Returns:
            How many spans are in memory still, and lost.
        """
        if self._tending is not None:
            self._tending.cancel()
        if self._writer is not None:
            if self._memory:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._mend(), seconds / 2)
            await self._writer.close(seconds)
        return sum(row.spans for row in self._memory)

    def digest(self, identity: bytes) -> bytes | None:
        """Name a destination as the file does; None if there is no file."""
        return digest(identity, self._salt) if self._salt is not None else None

    def _digest(self, owner: Owner) -> bytes:
        assert self._salt is not None
        found = self._digests.get(owner)
        if found is None:
            found = self._digests[owner] = digest(owner.identity, self._salt)
        return found

    def _count_pending(self, change: int) -> None:
        self._pending_bytes += change
        if self._pending_bytes > MAX_PENDING_BYTES:
            self._has_room.clear()
        else:
            self._has_room.set()

    def _keep_in_memory(self, batch: Sequence[tuple[Owner, Sequence[SpooledBatch]]]) -> None:
        for owner, rows in batch:
            for row in rows:
                self._memory[row] = owner
                self._memory_bytes += row.cost
            owner.add(rows)
        victims, excess = [], self._memory_bytes - self._max_memory_bytes
        for row, owner in self._memory.items():
            if excess <= 0:
                break
            if row.is_waiting:
                victims.append((row, owner))
                excess -= row.cost
        for row, owner in victims:
            owner.overflow(row)
            self._forget(row)

    def _forget(self, row: SpooledBatch) -> bool:
        if self._memory.pop(row, None) is None:
            return False
        self._memory_bytes -= row.cost
        return True

    def _delete(self, owner: Owner, gone: list[int]) -> None:
        assert self._writer is not None

        def deleted(future: asyncio.Future[None]) -> None:
            if future.exception() is None:
                owner.released(gone)
            else:
                self._report(future.exception())
                self._undeleted.update(dict.fromkeys(gone, owner))

        if self._takes:
            self._writer.write(lambda database: database.delete(gone)).add_done_callback(deleted)
        else:
            self._undeleted.update(dict.fromkeys(gone, owner))

    def _report(self, error: BaseException | None) -> None:
        self._takes = False
        if self._trouble is None:
            self._said.error("the spool %s takes nothing: %s; spans are kept in memory", self._folder, error)
        self._trouble = str(error)

    async def _tend(self, opening: asyncio.Future[None]) -> None:
        await opening
        while True:
            await asyncio.sleep(self._mend_seconds)
            if not self._takes or self._memory or self._undeleted:
                await self._mend()

    async def _mend(self) -> None:
        assert self._writer is not None
        try:
            if self._salt is None:
                self._opened(await self._writer.open())
            await self._catch_up()
            await self._writer.sync()
        except DiskError as error:
            self._report(error)
            return
        if self._trouble is not None:
            self._said_well.info("spans are spooled in %s", self._folder)
        self._trouble, self._takes = None, True

    def _opened(self, opened: OpenedSpool) -> None:
        self._salt = opened.salt
        self._digests.clear()
        self._on_open(opened)

    async def _catch_up(self) -> None:
        assert self._writer is not None
        writer = self._writer
        if self._undeleted:
            gone = dict(self._undeleted)
            try:
                await writer.write(lambda database: database.delete(gone))
            except DiskError:
                # A full disk takes not even a deletion. If nothing of the file is wanted, a new one is smaller.
                if await writer.read(lambda database: database.stored_rows()) > len(gone):
                    raise
                opened = await writer.start_anew()
                self._salt = opened.salt
                self._digests.clear()
            for id_, owner in gone.items():
                self._undeleted.pop(id_, None)
                owner.released([id_])
        while rows := self._some_in_memory():
            await self._store(rows)

    def _some_in_memory(self) -> list[tuple[SpooledBatch, Owner]]:
        some, size = [], 0
        for row, owner in self._memory.items():
            # What is being sent now is most likely gone before it is written.
            if row.is_waiting:
                some.append((row, owner))
                size += row.cost
                if size > _MEND_BYTES:
                    break
        return some

    async def _store(self, rows: list[tuple[SpooledBatch, Owner]]) -> None:
        assert self._writer is not None
        work = [(self._digest(owner), owner.description, [row]) for row, owner in rows]
        copies = [
            (digest_, description, [SpooledBatch(row.body, row.spans, row.at_ms)])
            for digest_, description, (row,) in work
        ]
        ids = await self._writer.write(lambda database: [database.append(*one)[0] for one in copies])
        for (row, owner), id_ in zip(rows, ids, strict=True):
            row.id = id_
            if self._forget(row):
                owner.stored(row)
            else:
                self._delete(owner, [id_])


def _ignore(future: asyncio.Future[None]) -> None:
    future.exception()
