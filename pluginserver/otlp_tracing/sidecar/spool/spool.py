"""The spool for the event loop: futures for work on its file, and whether the file takes writes.

When the disk fails (full, read-only, broken, or locked by a sidecar that is about to end), the spool says so, and
tries again every second. It holds no batches itself: the send queues keep those that are in memory alone
(export/unspooled.py), and store them as a part of the recovery here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.sidecar.spool.batch import SpooledBatch
from otlp_tracing.sidecar.spool.database import Database, Dropped, Loaded
from otlp_tracing.sidecar.spool.schema import destination_digest
from otlp_tracing.sidecar.spool.writer import DiskError, OpenedSpool, Writer

_log = logging.getLogger("otlp_tracing.sidecar.spool")
_internal_error = LimitedLog(_log)

# Bytes on their way to the disk. Past it nothing is read from the plugin server's workers, which keep the records.
MAX_PENDING_BYTES = 8 << 20
NOT_OPEN_YET = "the file is not open yet"
"""The trouble of a spool that was started and has not read its file."""

_RECOVERY_SECONDS = 1.0


class Spool:
    """Create and use it in one event loop.

    Args:
        folder: of the file; None for no file, then the spool never takes writes.
        on_open: called with the content of an opened file, before any other work on it.
        store_unspooled: stores the batches that are in memory alone; it may raise DiskError.
        recovery_seconds: between two attempts to recover.
    """

    def __init__(
        self,
        folder: Path | None,
        on_open: Callable[[OpenedSpool], None],
        store_unspooled: Callable[[], Awaitable[None]],
        recovery_seconds: float = _RECOVERY_SECONDS,
    ) -> None:
        self._folder = folder
        self._on_open = on_open
        self._store_unspooled = store_unspooled
        self._recovery_seconds = recovery_seconds
        self._writer = Writer(folder, self._fail) if folder is not None else None
        self._salt: bytes | None = None
        self.is_available = False
        self._error: str | None = None
        self._undeleted: dict[asyncio.Future[None], Sequence[int]] = {}
        self._pending_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._failed, self._recovered, self._read_failed = LimitedLog(_log), LimitedLog(_log), LimitedLog(_log)
        self._deleted = LimitedLog(_log)
        self._loop = asyncio.get_running_loop()
        self._started_ms = time.time_ns() // 1_000_000
        self._started = self._loop.time()
        self._maintaining: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Spool {self.trouble or self._folder or 'in memory'} | {self._pending_bytes} bytes pending>"

    @property
    def trouble(self) -> str | None:
        """Why batches are kept in memory; None if they are not, or if there is no folder."""
        return self._error or (None if self.is_available or self._writer is None else NOT_OPEN_YET)

    def now_ms(self) -> int:
        """Return milliseconds since 1970 that never jump: the time at the start plus the monotonic time since."""
        return self._started_ms + int((self._loop.time() - self._started) * 1000)

    async def start(self, seconds: float) -> None:
        """Open the file, and continue without it if that takes longer than `seconds`; recovery then continues."""
        if self._writer is None:
            return
        opening = asyncio.ensure_future(self.recover())
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(opening), seconds)
        self._maintaining = asyncio.create_task(self._maintain(opening), name="spool")

    def append(
        self, work: Sequence[tuple[bytes, str, Sequence[SpooledBatch]]], last_records: Mapping[bytes, int]
    ) -> asyncio.Future[list[list[int]]]:
        """Store batches, in one transaction.

        Args:
            work: by destination its digest, its description and its batches.
            last_records: by worker_id the number of the last record in these batches.

        Returns:
            The ids of the batches, as nested as they are. The future raises DiskError if nothing was stored.
        """
        assert self._writer is not None

        def store(database: Database) -> list[list[int]]:
            ids = [database.append(*one) for one in work]
            database.set_last_records(last_records)
            return ids

        def stored(future: asyncio.Future[list[list[int]]]) -> None:
            self._pending_bytes -= size
            if self._pending_bytes <= MAX_PENDING_BYTES:
                self._has_room.set()
            if (error := future.exception()) is not None:
                self._fail(error)

        size = sum([len(batch.body) for _, _, batches in work for batch in batches])
        try:
            future = self._writer.write(store)
        except Exception as error:
            # The receiver counts the records as taken by now, so no worker sends them again.
            future = self._loop.create_future()
            future.set_exception(DiskError(f"{type(error).__name__}: {error}"))
        future.add_done_callback(stored)
        self._pending_bytes += size
        if self._pending_bytes > MAX_PENDING_BYTES:
            self._has_room.clear()
        return future

    @property
    def has_room(self) -> bool:
        """No more than 8 MiB are on their way to the disk."""
        return self._has_room.is_set()

    async def room(self) -> None:
        """Wait until no more than 8 MiB are on their way to the disk."""
        await self._has_room.wait()

    def delete(self, ids: Sequence[int]) -> asyncio.Future[None]:
        """Delete batches.

        Returns:
            Done when they are deleted. If the disk fails, that is after its recovery; the future never fails.
        """
        assert self._writer is not None
        deleted: asyncio.Future[None] = self._loop.create_future()

        def done(future: asyncio.Future[None]) -> None:
            if (error := future.exception()) is None:
                deleted.set_result(None)
            else:
                self._fail(error)
                self._undeleted[deleted] = ids

        if self.is_available:
            self._writer.write(lambda database: database.delete(ids)).add_done_callback(done)
        else:
            self._undeleted[deleted] = ids
        return deleted

    def rewrite(self, batch: SpooledBatch) -> None:
        """Replace a stored batch with the part that was not delivered; if the disk fails, all of it is sent again."""
        if batch.id and self._writer is not None and self.is_available:
            copy = SpooledBatch(batch.body, batch.spans, batch.at_ms, batch.id)
            self._writer.write(lambda database: database.rewrite(copy)).add_done_callback(_ignore)

    def forget(self, identity: bytes) -> None:
        """Delete a destination that has no batch anywhere; it is stored again when it returns."""
        digest = self.digest(identity)
        if digest is not None and self._writer is not None and self.is_available:
            self._writer.write(lambda database: database.forget(digest)).add_done_callback(_ignore)

    async def load(self, after: int, until: int, max_bytes: int, excluded: Iterable[int]) -> Loaded:
        """Read batches from the disk, see Database.load(). Raises DiskError."""
        assert self._writer is not None
        skipped = list(excluded)
        try:
            return await self._writer.read(lambda database: database.load(after, until, max_bytes, skipped))
        except DiskError as error:
            self._read_failed.warning("spool read failed: %s", error)
            raise

    async def drop(
        self, after: int, until: int, excluded: Iterable[int], *, want: int = 0, before_ms: int = 0
    ) -> Dropped:
        """Delete the oldest batches, see Database.drop(). Raises DiskError."""
        assert self._writer is not None
        skipped = list(excluded)
        return await self._writer.write(
            lambda database: database.drop(after, until, skipped, want=want, before_ms=before_ms)
        )

    def digest(self, identity: bytes) -> bytes | None:
        """Return a destination's name in the file; None before the file was opened."""
        return destination_digest(identity, self._salt) if self._salt is not None else None

    async def close(self, seconds: float) -> None:
        """Finish all work on the file, synchronize and close it, within `seconds`."""
        if self._maintaining is not None:
            self._maintaining.cancel()
        if self._writer is not None:
            await self._writer.close(seconds)

    async def recover(self) -> None:
        """Open the file or make it again, if necessary; repeat failed deletions, store batches, take writes again."""
        if self._writer is None:
            return
        try:
            if self._salt is None:
                opened = await self._writer.open()
                self._salt = opened.salt
                self._on_open(opened)
            elif await self._writer.restore():
                self._deleted.warning("spool deleted: %s: all that waits is stored there again", self._folder)
            if self._undeleted:
                await self._delete_again(self._writer)
            await self._store_unspooled()
            if not self.is_available:
                await self._writer.sync()
        except DiskError as error:
            self._fail(error)
            return
        if not self.is_available:
            self._recovered.info("spool open: spans and log records are stored in %s", self._folder)
        self._error, self.is_available = None, True

    async def _maintain(self, opening: asyncio.Future[None]) -> None:
        await opening
        while True:
            await asyncio.sleep(self._recovery_seconds)
            try:
                await self.recover()
            except Exception:
                _internal_error.warning("internal error in spool, trying again", exc_info=True)

    async def _delete_again(self, writer: Writer) -> None:
        undeleted = dict(self._undeleted)
        ids = [id_ for some in undeleted.values() for id_ in some]
        try:
            await writer.write(lambda database: database.delete(ids))
        except DiskError:
            # A full disk refuses even a deletion. If no batch of the file is needed, a new file takes less room.
            if await writer.read(lambda database: database.stored_batches()) > len(ids):
                raise
            await writer.start_anew()
        for deleted in undeleted:
            del self._undeleted[deleted]
            deleted.set_result(None)

    def _fail(self, error: BaseException) -> None:
        self.is_available = False
        if self._error is None:
            self._failed.error(
                "spool write failed: %s: %s; spans and log records are kept in memory", self._folder, error
            )
        self._error = str(error)


def _ignore(future: asyncio.Future[None]) -> None:
    future.exception()
