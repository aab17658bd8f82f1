"""The thread that owns the spool's file.

Jobs that arrive while the thread is busy, or shortly after, form its next transaction: one commit for many jobs. A
slow disk delays this thread and nothing else. A commit is synchronized to the disk at most 50 ms later.
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
from otlp_tracing.folders import reason_in
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.sidecar.spool.batch import StoredDestination
from otlp_tracing.sidecar.spool.database import Database
from otlp_tracing.sidecar.spool.folder import SpoolFolder
from otlp_tracing.sidecar.spool.recovery import Recovery

_log = logging.getLogger("otlp_tracing.sidecar.spool")

SYNC_SECONDS = 0.05  # the most that a power cut may cost; fsync() for each commit would cost 0.2 ms and more
# Saves a fifth of the sidecar's CPU under load. Only acknowledgements wait for a transaction, and the plugin server's
# workers, which keep the records until then, look for acknowledgements every 50 ms. It is longer than SYNC_SECONDS, so
# every second transaction is synchronized at once, together with the one before it.
GATHER_SECONDS = 0.06
_SOUND_CHECK_BYTES = 16 << 20  # checked completely at the start, in some 50 ms; a larger file is checked as it is read

# SQLite's messages for a disk that fails (sqlite3_errstr). Its other operational errors are about tables and columns.
# Our statements do not change, so those mean that the file is broken.
_DISK_ERRORS = (
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
_UNREADABLE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)  # raised by values that we never wrote

T = TypeVar("T")


class DiskError(TracingError):
    """The disk or the spool's file fails; the message says how."""


@dataclass(frozen=True)
class OpenedSpool:
    """The content of a spool file that was opened.

    Args:
        salt: for the destinations' digests.
        destinations: all that the file knows.
        last_records: by worker_id the number of the last stored record.
        lost_spans: by destination, spans that could not be recovered from a broken file or a damaged log.
    """

    salt: bytes
    destinations: list[StoredDestination]
    last_records: dict[bytes, int]
    lost_spans: dict[bytes, int]


@dataclass(frozen=True, slots=True)
class _Job:
    """A piece of work: a write shares a transaction with other writes, anything else runs on its own."""

    future: asyncio.Future[Any]
    write: Callable[[Database], Any] | None
    other: Callable[[], Any] | None


class Writer:
    """Runs jobs on the spool's file, in order. Create it in the event loop that uses it.

    Args:
        folder: of the spool.
        on_error: called in the event loop if data that was already committed cannot be synchronized.
        clock: monotonic seconds.
        gather_seconds: between two transactions, unless a read or the end is waiting.
    """

    def __init__(
        self,
        folder: Path,
        on_error: Callable[[DiskError], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        self._path = folder
        self._on_error = on_error
        self._clock = clock
        self._gather_seconds = gather_seconds
        self._loop = asyncio.get_running_loop()
        self._condition = threading.Condition()
        self._jobs: list[_Job] = []
        self._closing = False
        self._folder: SpoolFolder | None = None
        self._database: Database | None = None
        self._replaced: Database | None = None  # the broken or deleted file, for its ids, until there is a new one
        self._sync_at: float | None = None
        self._gather_until = float("-inf")
        self._hurry = threading.Event()
        self._has_free_pages = False
        self._newer, self._damaged, self._recovered = LimitedLog(_log), LimitedLog(_log), LimitedLog(_log)
        self._internal_error = LimitedLog(_log)
        # A daemon: a disk that does not answer must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def write(self, work: Callable[[Database], T]) -> asyncio.Future[T]:
        """Run `work` in a transaction, possibly with other work.

        The future raises DiskError if the transaction failed; nothing of it is stored then.
        """
        return self._post(write=work)

    def read(self, work: Callable[[Database], T]) -> asyncio.Future[T]:
        """Run `work` after all earlier jobs; the future raises DiskError if it fails."""
        return self._post(other=lambda: self._with_database(work))

    def open(self) -> asyncio.Future[OpenedSpool]:
        """Open the file, a new one if necessary; the future raises DiskError if that is not possible now."""
        return self._post(other=self._open)

    def sync(self) -> asyncio.Future[None]:
        """Synchronize the file now; the future raises DiskError if the disk fails."""
        return self._post(other=lambda: self._with_database(Database.sync))

    def restore(self) -> asyncio.Future[bool]:
        """Make a new file of all batches, if the open one was deleted or replaced; tell whether that was so."""
        return self._post(other=self._restore)

    def start_anew(self) -> asyncio.Future[None]:
        """Delete the file, of which no batch is needed any more, and make a new one."""
        return self._post(other=lambda: self._with_database(self._start_anew))

    async def close(self, seconds: float) -> None:
        """Finish all jobs, synchronize and end the thread, within `seconds`."""
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
            jobs = self._next_jobs()
            if jobs is None:
                break
            self._run_jobs(jobs)
            self._housekeeping()
        if self._database is not None:
            try:
                self._database.sync()
                self._database.close()
            except (sqlite3.Error, OSError) as error:
                _log.warning("spool close failed: %s", error)
        if self._folder is not None:
            self._folder.close()

    def _next_jobs(self) -> list[_Job] | None:
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

    def _run_jobs(self, jobs: list[_Job]) -> None:
        writes = [job.write for job in jobs if job.write]
        written = iter(self._commit(writes) if writes else ())
        # Writes run first, so a later read finds them. The reverse order is of no use to a reader.
        done = [(job.future, next(written) if job.write else self._attempt(job.other)) for job in jobs]
        if done:
            try:
                self._loop.call_soon_threadsafe(_resolve, done)
            except RuntimeError:
                _log.debug("the event loop ended before the spool")

    def _commit(self, writes: list[Callable[[Database], Any]]) -> list[Any]:
        def run_all(database: Database) -> list[Any]:
            with database.transaction():
                return [write(database) for write in writes]

        results = self._attempt(lambda: self._with_database(run_all))
        self._gather_until = self._clock() + self._gather_seconds
        self._has_free_pages = True
        return [results] * len(writes) if isinstance(results, DiskError) else results

    def _attempt(self, work: Callable[[], Any] | None) -> Any:
        assert work is not None
        try:
            return work()
        except DiskError as error:
            return error
        except OSError as error:
            return DiskError(reason_in(self._path, error))
        except sqlite3.Error as error:
            return DiskError(str(error))
        except Exception as error:
            self._internal_error.warning("internal error in spool", exc_info=True)
            return DiskError(f"{type(error).__name__}: {error}")

    def _with_database(self, work: Callable[[Database], T]) -> T:
        if self._database is None:
            if self._replaced is None:
                raise DiskError("the file is not open")
            self._recover()
        assert self._database is not None
        try:
            return work(self._database)
        except sqlite3.DatabaseError as error:
            if not self._is_broken(error):
                raise
            self._replace(error)
            return work(self._database)

    def _open(self) -> OpenedSpool:
        if self._folder is None:
            try:
                self._folder = SpoolFolder(self._path)
            except OSError as error:
                raise DiskError(reason_in(self._path, error)) from error
        lost: dict[bytes, int] = {}
        is_new = self._database is None
        if is_new and self._folder.quarantined():
            lost = self._recover()
        try:
            return self._opened(lost)
        except Exception as error:
            if not self._is_broken(error):
                raise
            if is_new and self._database is not None:  # no id of it is known yet
                self._database.close(is_broken=True)
                self._database = None
            return self._opened(self._replace(error))

    def _opened(self, lost: dict[bytes, int]) -> OpenedSpool:
        assert self._folder is not None
        is_new = self._database is None
        if self._database is None:
            path = self._folder.database()
            if self._folder.has_newer():
                self._newer.warning(
                    "spool format is newer in %s: its spans and log records stay there, using %s", self._path, path.name
                )
            self._database = Database(path)
            if path.stat().st_size <= _SOUND_CHECK_BYTES and not self._database.is_sound():
                raise sqlite3.DatabaseError("its pages do not fit together")
        missing = Counter(self._database.compare_with_tally())
        if missing.total():
            _log.error(
                "spool damaged: %d spans and log records are missing from %s, its log was cut",
                missing.total(),
                self._path,
            )
        missing.update(lost)
        # A full disk keeps the file from getting shorter lists, but not its batches from being read and delivered.
        with contextlib.suppress(sqlite3.OperationalError), self._database.transaction():
            self._database.forget_old_workers()
        opened = OpenedSpool(
            self._database.salt, self._database.destinations(), self._database.last_records(), dict(missing)
        )
        if is_new:
            with contextlib.suppress(sqlite3.OperationalError), self._database.transaction():
                self._database.forget()  # no id of it is known yet
        return opened

    def _is_broken(self, error: Exception) -> bool:
        """Tell whether the cause of an error is the file, as opposed to the disk."""
        if not isinstance(error, sqlite3.OperationalError):
            return isinstance(error, (sqlite3.DatabaseError, *_UNREADABLE))
        if str(error) == _READ_ONLY:
            # SQLite also says this of a file that requires a later SQLite by its header.
            assert self._folder is not None
            return os.access(self._folder.database(), os.W_OK) and self._folder.is_writable()
        return not str(error).startswith(_DISK_ERRORS)

    def _restore(self) -> bool:
        old = self._database
        if old is None or old.is_in_place():
            return False
        if self._folder is not None:
            self._folder.close()  # of a folder that may be gone
            self._folder = None
        try:
            self._folder = SpoolFolder(self._path)
            path = self._folder.database()
            if path.stat().st_size:
                self._folder.quarantine(path)
                path = self._folder.database()
            old.copy_to(path)
            database = Database(path)
        except OSError as error:
            raise DiskError(f"its file was deleted: {reason_in(self._path, error)}") from error
        self._database = database
        old.close(is_broken=True)
        database.compare_with_tally()
        return True

    def _start_anew(self, old: Database) -> None:
        assert self._folder is not None
        path = self._folder.database()
        old.close(is_broken=True)
        # If no new file can be made now, the next job tries again: _with_database().
        self._database, self._replaced = None, old
        self._folder.remove(path)
        self._recover()

    def _replace(self, error: Exception) -> dict[bytes, int]:
        assert self._folder is not None
        path, old = self._folder.database(), self._database
        if old is not None:
            old.close(is_broken=True)
            self._database = None
        self._folder.quarantine(path)
        self._replaced = old or self._replaced
        self._damaged.error("spool damaged: %s is moved aside and recovered (%s)", path, error)
        return self._recover()

    def _recover(self) -> dict[bytes, int]:
        """Make a new file with the readable part of broken ones: completely, or again at the next attempt."""
        assert self._folder is not None
        old, recoveries = self._replaced, [Recovery(path) for path in self._folder.quarantined()]
        lost: Counter[bytes] = Counter()
        try:
            database = Database(self._folder.database(), old.salt if old else recoveries[0].salt)
            try:
                if old is not None:
                    with database.transaction():
                        database.continue_ids_of(old)
                for recovery in recoveries:
                    lost.update(recovery.copy_into(database))
                database.sync()
                database.compare_with_tally()
            except BaseException:
                database.close(is_broken=True)
                raise
        finally:
            for recovery in recoveries:
                recovery.close()
        self._database, self._replaced = database, None
        kept = [self._folder.keep_recovered(recovery.path).name for recovery in recoveries]
        if kept:
            self._recovered.warning(
                "spool recovered: %d spans and log records of %s could not be read", lost.total(), " and ".join(kept)
            )
        return dict(lost)

    def _housekeeping(self) -> None:
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
                self._has_free_pages = self._database.release_free_pages()
        except Exception as error:
            self._sync_at, self._has_free_pages = None, False
            failed = DiskError(f"synchronizing to the disk failed: {error}")
            with contextlib.suppress(RuntimeError):  # the event loop ended before the spool
                self._loop.call_soon_threadsafe(self._on_error, failed)


def _resolve(done: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in done:
        if future.done():
            continue
        if isinstance(result, DiskError):
            future.set_exception(result)
        else:
            future.set_result(result)
