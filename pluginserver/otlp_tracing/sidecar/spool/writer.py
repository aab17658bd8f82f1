"""The thread that owns the spool's file.

Whatever is asked of it while it is busy, or has just been, becomes its next transaction: one commit for many. A
disk that stalls stalls this thread and nothing else. What was committed is brought to the disk at most 50 ms later.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from otlp_tracing.errors import TracingError
from otlp_tracing.sidecar.spool.database import Database
from otlp_tracing.sidecar.spool.folder import SpoolFolder
from otlp_tracing.sidecar.spool.rescue import Rescue
from otlp_tracing.sidecar.spool.row import StoredDestination

__all__ = ["SYNC_SECONDS", "DiskTrouble", "Opened", "Writer"]

_log = logging.getLogger("otlp_tracing.sidecar.spool")

SYNC_SECONDS = 0.05  # what a power cut may cost; fsync() for each commit would cost 0.2 ms and more
# Under load a tenth of what the sidecar costs. Nobody waits for a transaction but the acknowledgement of what the
# gateway's processes keep until then, and they look for it every 50 ms.
GATHER_SECONDS = 0.02
_SOUND_CHECK_BYTES = 16 << 20  # checked whole at the start within some 50 ms; more is checked as it is read

T = TypeVar("T")


class DiskTrouble(TracingError):
    """The disk does not do what is asked; the sentence says how."""


@dataclass(frozen=True)
class Opened:
    """What an opened spool holds.

    Args:
        salt: for the destinations' digests.
        destinations: known ones.
        senders: number of the last stored record of each.
        lost_spans: by destination what a broken file had and could not be rescued.
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
        clock: monotonic seconds.
        gather_seconds: between two transactions, unless somebody waits for what is read, or for the end.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.monotonic, gather_seconds: float = GATHER_SECONDS
    ) -> None:
        self._path = folder
        self._clock = clock
        self._gather_seconds = gather_seconds
        self._loop = asyncio.get_running_loop()
        self._condition = threading.Condition()
        self._jobs: list[_Job] = []
        self._closing = False
        self._folder: SpoolFolder | None = None
        self._database: Database | None = None
        self._sync_at: float | None = None
        self._gather_until = float("-inf")
        self._hurry = threading.Event()
        self._has_free_pages = False
        # Not waited for at the end of the process: a disk that stalls must not keep it.
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def write(self, work: Callable[[Database], T]) -> asyncio.Future[T]:
        """Run `work` in a transaction, its own or one that it shares.

        The future raises DiskTrouble if nothing of it happened.
        """
        return self._post(write=work)

    def read(self, work: Callable[[Database], T]) -> asyncio.Future[T]:
        """Run `work` after all that was asked for before; the future raises DiskTrouble if it cannot be had."""
        return self._post(other=lambda: self._with_database(work))

    def open(self) -> asyncio.Future[Opened]:
        """Open the file, a new one if it must be; the future raises DiskTrouble if that is not possible now."""
        return self._post(other=lambda: self._open(anew=False))

    def start_anew(self) -> asyncio.Future[Opened]:
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
                self._condition.wait(SYNC_SECONDS if self._sync_at is not None or self._has_free_pages else None)
        self._hurry.wait(max(0.0, self._gather_until - self._clock()))
        with self._condition:
            self._hurry.clear()
            if self._closing and not self._jobs:
                return None
            jobs, self._jobs = self._jobs, []
            return jobs

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
        return [results] * len(writes) if isinstance(results, DiskTrouble) else results

    def _attempt(self, work: Callable[[], Any] | None) -> Any:
        assert work is not None
        try:
            return work()
        except DiskTrouble as error:
            return error
        except (sqlite3.Error, OSError) as error:
            return DiskTrouble(str(error))
        except Exception as error:
            _log.exception("a fault of the spool's own")
            return DiskTrouble(f"{type(error).__name__}: {error}")

    def _with_database(self, work: Callable[[Database], T]) -> T:
        if self._database is None:
            raise DiskTrouble("it is not open")
        try:
            return work(self._database)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            self._replace(error)
            return work(self._database)

    def _open(self, *, anew: bool) -> Opened:
        if self._folder is None:
            self._folder = SpoolFolder(self._path)
        if anew and self._database is not None:
            self._start_anew(self._database)
        lost: dict[bytes, int] = {}
        if self._database is None:
            path = self._folder.database()
            if self._folder.has_newer():
                _log.warning("%s holds spans in a newer format, which stay there; using %s", self._path, path.name)
            try:
                self._database = Database(path)
                if path.stat().st_size <= _SOUND_CHECK_BYTES and not self._database.is_sound():
                    raise sqlite3.DatabaseError("its pages do not fit together")
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                lost = self._replace(error)
        assert self._database is not None
        with self._database.transaction():
            self._database.forget_senders()
        return Opened(self._database.salt, self._database.destinations(), self._database.senders(), lost)

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
        aside = self._folder.quarantine(path)
        _log.error("the spool %s is broken (%s): moved to %s, saving what can be read", path, error, aside.name)
        rescue = Rescue(aside)
        try:
            self._folder.database()
            self._database = Database(path, old.salt if old else rescue.salt)
            lost = rescue.into(self._database)
            if old is not None:
                with self._database.transaction():
                    self._database.go_on_after(old)
        finally:
            rescue.close()
        _log.warning("%d spans of the broken spool could not be read", sum(lost.values()))
        return lost

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
        except (sqlite3.Error, OSError) as error:
            self._sync_at, self._has_free_pages = None, False
            _log.warning("the spool could not be brought to the disk: %s", error)

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
        if isinstance(result, DiskTrouble):
            future.set_exception(result)
        else:
            future.set_result(result)
