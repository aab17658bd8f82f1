"""The thread that owns the spool's file.

Whatever is asked of it while it is busy, or has just been, becomes its next transaction: one commit for many. A
disk that stalls stalls this thread and nothing else. What was committed is brought to the disk at most 50 ms later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from otlp_tracing.errors import TracingError
from otlp_tracing.sidecar.spool.batch import StoredDestination
from otlp_tracing.sidecar.spool.database import Database
from otlp_tracing.sidecar.spool.folder import SpoolFolder
from otlp_tracing.sidecar.spool.recovery import Recovery

_log = logging.getLogger("otlp_tracing.sidecar.spool")

SYNC_SECONDS = 0.05  # what a power cut may cost; fsync() for each commit would cost 0.2 ms and more
# Under load a tenth of what the sidecar costs. Nobody waits for a transaction but the acknowledgement of what the
# gateway's processes keep until then, and they look for it every 50 ms.
GATHER_SECONDS = 0.02
_SOUND_CHECK_BYTES = 16 << 20  # checked whole at the start within some 50 ms; more is checked as it is read

# What SQLite says when it is the disk that does not do what is asked (sqlite3_errstr). The rest of its operational
# errors are about tables and columns, and ours are always the same: then it is the file.
_OF_THE_DISK = (
    "access permission denied",
    "database is locked",
    "database or disk is full",
    "database table is locked",
    "disk I/O error",
    "interrupted",
    "locking protocol",
    "out of memory",
    "unable to open database file",
)
_READ_ONLY = "attempt to write a readonly database"
_UNREADABLE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)  # values that were never written

T = TypeVar("T")


class DiskError(TracingError):
    """The disk does not do what is asked; the sentence says how."""


@dataclass(frozen=True)
class OpenedSpool:
    """What an opened spool holds.

    Args:
        salt: for the destinations' digests.
        destinations: known ones.
        senders: number of the last stored record of each.
        lost_spans: by destination what a broken file had and could not be rescued, or its log had and has no more.
    """

    salt: bytes
    destinations: list[StoredDestination]
    senders: dict[bytes, int]
    lost_spans: dict[bytes, int]


@dataclass(frozen=True, slots=True)
class _Job:
    """Something to do: with others in one transaction if it writes, else on its own."""

    future: asyncio.Future[Any]
    write: Callable[[Database], Any] | None
    other: Callable[[], Any] | None


class Writer:
    """Runs what it is given on the spool's file, in order. Must be made in the event loop that uses it.

    Args:
        folder: of the spool.
        on_trouble: told, in the loop, of what goes wrong with what was written before.
        clock: monotonic seconds.
        gather_seconds: between two transactions, unless somebody waits for what is read, or for the end.
    """

    def __init__(
        self,
        folder: Path,
        on_trouble: Callable[[DiskError], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        self._path = folder
        self._on_trouble = on_trouble
        self._clock = clock
        self._gather_seconds = gather_seconds
        self._loop = asyncio.get_running_loop()
        self._condition = threading.Condition()
        self._jobs: list[_Job] = []
        self._closing = False
        self._folder: SpoolFolder | None = None
        self._database: Database | None = None
        self._replaced: Database | None = None  # the broken one whose ids are known, while there is none in its place
        self._sync_at: float | None = None
        self._gather_until = float("-inf")
        self._hurry = threading.Event()
        self._has_free_pages = False
        # Not waited for at the end of the process: a disk that stalls must not keep it.
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def write(self, work: Callable[[Database], T]) -> asyncio.Future[T]:
        """Run `work` in a transaction, its own or one that it shares.

        The future raises DiskError if nothing of it happened.
        """
        return self._post(write=work)

    def read(self, work: Callable[[Database], T]) -> asyncio.Future[T]:
        """Run `work` after all that was asked for before; the future raises DiskError if it cannot be had."""
        return self._post(other=lambda: self._with_database(work))

    def open(self) -> asyncio.Future[OpenedSpool]:
        """Open the file, a new one if it must be; the future raises DiskError if that is not possible now."""
        return self._post(other=lambda: self._open(anew=False))

    def sync(self) -> asyncio.Future[None]:
        """Bring what was written to the disk now; the future raises DiskError if it does not take it."""
        return self._post(other=lambda: self._with_database(Database.sync))

    def start_anew(self) -> asyncio.Future[OpenedSpool]:
        """Throw the file away, of which nothing is wanted any more, and open a new one."""
        return self._post(other=lambda: self._open(anew=True))

    async def close(self, seconds: float) -> None:
        """Finish what was asked for, bring it to the disk and end; for so long at the most."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._hurry.set()
        await asyncio.to_thread(self._thread.join, seconds)

    def _post(
        self, write: Callable[[Database], Any] | None = None, other: Callable[[], Any] | None = None
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        with self._condition:
            self._jobs.append(_Job(future, write, other))
            self._condition.notify()
        if other is not None:
            self._hurry.set()
        return future

    def _run(self) -> None:
        while True:
            jobs = self._next()
            if jobs is None:
                break
            self._do(jobs)
            self._keep_up()
        self._shut()

    def _next(self) -> list[_Job] | None:
        with self._condition:
            if not self._jobs and not self._closing:
                self._condition.wait(self._idle_seconds())
        until = self._gather_until if self._sync_at is None else min(self._gather_until, self._sync_at)
        self._hurry.wait(max(0.0, until - self._clock()))
        with self._condition:
            self._hurry.clear()
            if self._closing and not self._jobs:
                return None
            jobs, self._jobs = self._jobs, []
            return jobs

    def _idle_seconds(self) -> float | None:
        if self._sync_at is not None:
            return max(0.0, self._sync_at - self._clock())
        return SYNC_SECONDS if self._has_free_pages else None

    def _do(self, jobs: list[_Job]) -> None:
        writes = [job.write for job in jobs if job.write]
        written = iter(self._commit(writes) if writes else ())
        # What was written before is there for who reads after; the other way round nobody minds.
        done = [(job.future, next(written) if job.write else self._attempt(job.other)) for job in jobs]
        if done:
            try:
                self._loop.call_soon_threadsafe(_resolve, done)
            except RuntimeError:
                _log.debug("the loop ended before its spool")

    def _commit(self, writes: list[Callable[[Database], Any]]) -> list[Any]:
        def all_of_them(database: Database) -> list[Any]:
            with database.transaction():
                return [write(database) for write in writes]

        results = self._attempt(lambda: self._with_database(all_of_them))
        self._gather_until = self._clock() + self._gather_seconds
        self._has_free_pages = True
        return [results] * len(writes) if isinstance(results, DiskError) else results

    def _attempt(self, work: Callable[[], Any] | None) -> Any:
        assert work is not None
        try:
            return work()
        except DiskError as error:
            return error
        except (sqlite3.Error, OSError) as error:
            return DiskError(str(error))
        except Exception as error:
            _log.exception("a fault of the spool's own")
            return DiskError(f"{type(error).__name__}: {error}")

    def _with_database(self, work: Callable[[Database], T]) -> T:
        if self._database is None:
            if self._replaced is None:
                raise DiskError("it is not open")
            self._rescue()
        assert self._database is not None
        try:
            return work(self._database)
        except sqlite3.DatabaseError as error:
            if not self._is_broken(error):
                raise
            self._replace(error)
            return work(self._database)

    def _open(self, *, anew: bool) -> OpenedSpool:
        if self._folder is None:
            self._folder = SpoolFolder(self._path)
        if anew and self._database is not None:
            self._start_anew(self._database)
        lost: dict[bytes, int] = {}
        is_new = self._database is None
        if is_new and self._folder.unrescued():
            lost = self._rescue()
        try:
            return self._opened(lost)
        except Exception as error:
            if not self._is_broken(error):
                raise
            if is_new and self._database is not None:  # nobody knows an id of it yet
                self._database.abandon()
                self._database = None
            return self._opened(self._replace(error))

    def _opened(self, lost: dict[bytes, int]) -> OpenedSpool:
        assert self._folder is not None
        is_new = self._database is None
        if self._database is None:
            path = self._folder.database()
            if self._folder.has_newer():
                _log.warning("%s holds spans in a newer format, which stay there; using %s", self._path, path.name)
            self._database = Database(path)
            if path.stat().st_size <= _SOUND_CHECK_BYTES and not self._database.is_sound():
                raise sqlite3.DatabaseError("its pages do not fit together")
        missing = Counter(self._database.take_stock())
        if missing.total():
            _log.error("%d spans are gone from %s: its log was cut short, or damaged", missing.total(), self._path)
        missing.update(lost)
        with self._database.transaction():
            self._database.forget_senders()
        opened = OpenedSpool(
            self._database.salt, self._database.destinations(), self._database.senders(), dict(missing)
        )
        if is_new:
            with self._database.transaction():
                self._database.forget()  # nobody knows an id of it yet
        return opened

    def _is_broken(self, error: Exception) -> bool:
        """Tell whether the file is to blame, and not the disk, for an error."""
        if not isinstance(error, sqlite3.OperationalError):
            return isinstance(error, (sqlite3.DatabaseError, *_UNREADABLE))
        if str(error) == _READ_ONLY:
            # Also what a file says whose header asks for a later SQLite.
            assert self._folder is not None
            return os.access(self._folder.database(), os.W_OK) and self._folder.takes_files()
        return not str(error).startswith(_OF_THE_DISK)

    def _start_anew(self, old: Database) -> None:
        assert self._folder is not None
        known, path = old.destinations(), self._folder.database()
        self._database = None
        old.abandon()
        self._folder.remove(path)
        self._folder.database()
        self._database = Database(path, old.salt)
        with self._database.transaction():
            for destination in known:
                self._database.adopt(destination)

    def _replace(self, error: Exception) -> dict[bytes, int]:
        assert self._folder is not None
        path, old = self._folder.database(), self._database
        if old is not None:
            old.abandon()
            self._database = None
        self._folder.quarantine(path)
        self._replaced = old
        _log.error("the spool %s is broken (%s): moved aside, saving what can be read", path, error)
        return self._rescue()

    def _rescue(self) -> dict[bytes, int]:
        """Put what can be read of a broken file into the new one: all of it, or again the next time."""
        assert self._folder is not None
        old, rescues = self._replaced, [Recovery(aside) for aside in self._folder.unrescued()]
        lost: Counter[bytes] = Counter()
        try:
            database = Database(self._folder.database(), old.salt if old else rescues[0].salt)
            try:
                if old is not None:
                    with database.transaction():
                        database.go_on_after(old)
                for rescue in rescues:
                    lost.update(rescue.into(database))
                database.sync()
                database.take_stock()
            except BaseException:
                database.abandon()
                raise
        finally:
            for rescue in rescues:
                rescue.close()
        self._database, self._replaced = database, None
        kept = [self._folder.rescued(rescue.path).name for rescue in rescues]
        _log.warning("%d spans of %s could not be read", lost.total(), " and ".join(kept))
        return dict(lost)

    def _keep_up(self) -> None:
        if self._database is None:
            return
        now = self._clock()
        try:
            if self._database.is_dirty and self._sync_at is None:
                self._sync_at = now + SYNC_SECONDS
            if self._sync_at is not None and now >= self._sync_at:
                self._sync_at = None
                self._database.sync()
            if self._has_free_pages and not self._jobs:
                self._has_free_pages = self._database.give_back()
        except Exception as error:
            self._sync_at, self._has_free_pages = None, False
            trouble = DiskError(f"what was written could not be brought to the disk: {error}")
            with contextlib.suppress(RuntimeError):  # the loop ended before its spool
                self._loop.call_soon_threadsafe(self._on_trouble, trouble)

    def _shut(self) -> None:
        if self._database is not None:
            try:
                self._database.sync()
                self._database.close()
            except (sqlite3.Error, OSError) as error:
                _log.warning("the spool could not be closed in order: %s", error)
        if self._folder is not None:
            self._folder.close()


def _resolve(done: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in done:
        if future.done():
            continue
        if isinstance(result, DiskError):
            future.set_exception(result)
        else:
            future.set_result(result)
