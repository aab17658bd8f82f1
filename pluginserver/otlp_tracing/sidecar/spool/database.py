"""The spool's SQLite file: batches of spans, by destination. Synchronous; for one thread.

A batch's id has its destination's number in the upper bits and a count in the lower ones: the batches of a
destination are adjacent, and no index has to be written.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otlp_tracing.sidecar.spool.batch import COUNT_BITS, SpooledBatch, StoredDestination, disk_bytes
from otlp_tracing.sidecar.spool.schema import PAGE_BYTES, WAL_BYTES, connect, read_destinations
from otlp_tracing.sidecar.spool.tally import SUFFIX, Tally, read_tally

_SALT_BYTES = 16
_MAX_WORKERS = 1024  # as many as the receiver remembers
_VACUUM_PAGES = 256  # a mebibyte at a time: some milliseconds


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of load(): sound batches, those with a wrong checksum, and the last id that was examined."""

    batches: list[SpooledBatch]
    broken: list[SpooledBatch]
    last_id: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """The result of drop(): the totals of the deleted batches, and the last id that was examined."""

    batches: int
    spans: int
    disk_bytes: int
    last_id: int


class Database:
    """An open spool file.

    Args:
        path: of the file.
        salt: for a new file; by default that of the tally, because a tally describes the file that is gone.

    Raises, here and in every method:
        sqlite3.OperationalError: the disk fails.
        sqlite3.DatabaseError: the file is broken.
    """

    def __init__(self, path: Path, salt: bytes | None = None) -> None:
        self._path = path
        self._tally_path = path.with_name(path.name + SUFFIX)
        self._connection, self.salt = connect(
            path, lambda: salt or read_tally(self._tally_path)[0] or os.urandom(_SALT_BYTES)
        )
        self._numbers: dict[bytes, int] = {}
        self._last_ids: dict[int, int] = {}
        self._descriptions: dict[bytes, str] = {}
        self._touched: set[int] = set()  # numbers of destinations that the transaction changed
        self._tally: Tally | None = None
        self._has_shrunk = False
        self.is_dirty = False  # something was committed that sync() has not brought to the disk
        try:
            for number, digest, text, last_id in self._connection.execute(
                "SELECT number, digest, description, last_id FROM destination"
            ):
                self._numbers[digest], self._last_ids[number], self._descriptions[digest] = number, last_id, text
            self._wal_path = path.with_name(path.name + "-wal")
            self._wal = os.open(self._wal_path, os.O_RDONLY | os.O_CLOEXEC)
            self._inode = _inode(path)
        except BaseException:
            self._connection.close()
            raise

    def destinations(self) -> list[StoredDestination]:
        """Return every destination in the file."""
        return read_destinations(self._connection)

    def is_in_place(self) -> bool:
        """Tell whether the next process will find this file: it was not deleted or replaced while it was open."""
        return _inode(self._path) == self._inode and _inode(self._wal_path) == _inode(self._wal)

    def copy_to(self, path: Path) -> None:
        """Copy everything into another file, completely or not at all. It works for a file that was deleted."""
        with contextlib.closing(sqlite3.connect(path, timeout=0)) as copy:
            self._connection.backup(copy)

    def last_records(self) -> dict[bytes, int]:
        """Return the number of the last stored record of each worker, by worker_id."""
        return dict(self._connection.execute("SELECT id, number FROM sender").fetchall())

    def compare_with_tally(self) -> dict[bytes, int]:
        """Compare the file with the tally of an earlier process, then start a new tally.

        Call it outside a transaction, once the file is known to be sound.

        Returns:
            By destination the spans that the tally has and this file has not. Exact if batches were deleted in
            order; otherwise off by at most the spans that were in flight.
        """
        missing = {}
        with self.transaction():
            salt, destinations = read_tally(self._tally_path)
            for noted in destinations if salt == self.salt else ():
                number = noted.first_id >> COUNT_BITS
                if number not in self._last_ids and noted.digest not in self._numbers:
                    self.adopt(noted)
                    missing[noted.digest] = noted.spans
                elif self._numbers.get(noted.digest) == number and (lost := noted.last_id - self._last_ids[number]) > 0:
                    # The batches that waited and are not lost are the last ones here; earlier ones were delivered.
                    kept = self._scalar(
                        "SELECT coalesce(sum(spans), 0) FROM (SELECT spans FROM row WHERE id > ? AND id <= ? "
                        "ORDER BY id DESC LIMIT ?)",
                        (noted.first_id, self._last_ids[number], max(noted.batches - lost, 0)),
                    )
                    missing[noted.digest] = max(noted.spans - kept, 0)
        self._start_tally()
        return missing

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes inside the `with` block one transaction: all of them are committed, or none."""
        last_ids, numbers, descriptions = dict(self._last_ids), dict(self._numbers), dict(self._descriptions)
        self._touched.clear()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            totals = [self._totals(number) for number in self._touched if number in self._last_ids]
            self._connection.execute("COMMIT")
        except BaseException:
            self._last_ids, self._numbers, self._descriptions = last_ids, numbers, descriptions
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self.is_dirty = True
        if self._tally is not None:
            for one in totals:
                self._tally.write_totals(*one)

    def append(self, digest: bytes, description: str, batches: Sequence[SpooledBatch]) -> list[int]:
        """Store batches of a destination and return their ids, in a transaction.

        Args:
            digest: of the destination.
            description: stored if the destination is new.
            batches: at least one.
        """
        number = self._numbers.get(digest) or self._register(digest, description)
        first = self._last_ids[number] + 1
        ids = list(range(first, first + len(batches)))
        self._connection.executemany(
            "INSERT INTO row VALUES (?, ?, ?, ?, ?)",
            [_row(id_, batch) for id_, batch in zip(ids, batches, strict=True)],
        )
        self._last_ids[number] = ids[-1]
        size = sum(disk_bytes(len(batch.body)) for batch in batches)
        self._count(number, len(batches), sum(batch.spans for batch in batches), size, ids[-1])
        return ids

    def delete(self, ids: Iterable[int]) -> None:
        """Delete batches, in a transaction; an id that is not there is ignored."""
        deleted = json.dumps(list(ids))
        for number, batches, spans, size in self._connection.execute(
            "SELECT id >> ?, count(*), sum(spans), sum(length(body) + length(body) / 8 + 64) FROM row "
            "WHERE id IN (SELECT value FROM json_each(?)) GROUP BY 1",
            (COUNT_BITS, deleted),
        ).fetchall():
            self._count(number, -batches, -spans, -size)
        self._connection.execute("DELETE FROM row WHERE id IN (SELECT value FROM json_each(?))", (deleted,))

    def rewrite(self, batch: SpooledBatch) -> None:
        """Replace a stored batch with the part of it that was not delivered, in a transaction."""
        self.delete([batch.id])
        self._connection.execute("INSERT INTO row VALUES (?, ?, ?, ?, ?)", _row(batch.id, batch))
        self._count(batch.id >> COUNT_BITS, 1, batch.spans, disk_bytes(len(batch.body)))

    def load(self, after: int, until: int, max_bytes: int, excluded: Iterable[int]) -> Loaded:
        """Read batches, oldest first, as many as fit into max_bytes, at least one.

        Args:
            after: an id; batches with higher ids are read.
            until: an id, the highest that is read.
            max_bytes: of their bodies.
            excluded: ids to skip.
        """
        batches: list[SpooledBatch] = []
        broken: list[SpooledBatch] = []
        size, last, skipped = 0, after, set(excluded)
        cursor = self._connection.execute(
            "SELECT id, spans, at_ms, check_sum, body FROM row WHERE id > ? AND id <= ? ORDER BY id", (after, until)
        )
        for id_, spans, at_ms, check_sum, body in cursor:
            if id_ in skipped:
                last = id_
                continue
            if batches and size + len(body) > max_bytes:
                break
            last = id_
            is_sound = zlib.crc32(body) == check_sum
            (batches if is_sound else broken).append(SpooledBatch(body, spans, at_ms, id_))
            size += len(body)
        else:
            last = until
        cursor.close()
        return Loaded(batches, broken, last)

    def drop(self, after: int, until: int, excluded: Iterable[int], *, want: int = 0, before_ms: int = 0) -> Dropped:
        """Delete the oldest batches, in a transaction.

        Args:
            after: an id; batches with higher ids are deleted.
            until: an id, the highest that is deleted.
            excluded: ids to skip.
            want: bytes to free, by disk_bytes().
            before_ms: batches that arrived earlier are deleted, however many bytes that frees.
        """
        ids: list[int] = []
        spans = freed = 0
        last, skipped = after, set(excluded)
        cursor = self._connection.execute(
            "SELECT id, spans, at_ms, length(body) FROM row WHERE id > ? AND id <= ? ORDER BY id", (after, until)
        )
        for id_, batch_spans, at_ms, size in cursor:
            if freed >= want and at_ms >= before_ms:
                break
            last = id_
            if id_ not in skipped:
                ids.append(id_)
                spans += batch_spans
                freed += disk_bytes(size)
        else:
            last = until
        cursor.close()
        if ids:
            deleted = (json.dumps(ids),)
            self._connection.execute("DELETE FROM row WHERE id IN (SELECT value FROM json_each(?))", deleted)
            self._count(ids[0] >> COUNT_BITS, -len(ids), -spans, -freed)
        return Dropped(len(ids), spans, freed, last)

    def set_last_records(self, last_records: Mapping[bytes, int]) -> None:
        """Store the number of each worker's last stored record, by worker_id, in a transaction."""
        self._connection.executemany(
            "INSERT INTO sender VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET number = excluded.number",
            list(last_records.items()),
        )

    def forget_old_workers(self) -> None:
        """Delete all workers but the most recent 1,024, in a transaction."""
        self._connection.execute(
            "DELETE FROM sender WHERE rowid <= (SELECT max(rowid) FROM sender) - ?", (_MAX_WORKERS,)
        )

    def forget(self, digest: bytes | None = None) -> None:
        """Delete a destination by its digest, or all of them, unless it has batches; in a transaction.

        The one with the highest number stays: the next destination would get that number, and a late deletion of a
        batch finds the destination by it.
        """
        empty = self._connection.execute(
            "SELECT number, digest FROM destination WHERE rows = 0 AND number < (SELECT max(number) FROM destination) "
            "AND digest = coalesce(?, digest)",
            (digest,),
        ).fetchall()
        self._connection.executemany("DELETE FROM destination WHERE number = ?", [(number,) for number, _ in empty])
        for number, one in empty:
            del self._numbers[one], self._last_ids[number], self._descriptions[one]
            if self._tally is not None:
                self._tally.write_totals(number, 0, 0, 0)

    def adopt(self, destination: StoredDestination, batches: Iterable[SpooledBatch] = ()) -> None:
        """Store a destination and batches under the ids they had in another file, in a transaction."""
        number = destination.first_id >> COUNT_BITS
        if destination.digest not in self._numbers:
            self._register(destination.digest, destination.description, number, destination.last_id)
        for batch in batches:
            row = _row(batch.id, batch)
            if self._connection.execute("INSERT OR IGNORE INTO row VALUES (?, ?, ?, ?, ?)", row).rowcount:
                self._count(number, 1, batch.spans, disk_bytes(len(batch.body)))

    def continue_ids_of(self, other: Database) -> None:
        """Give new batches higher ids than the file had that this one replaces, in a transaction."""
        for digest, number in other._numbers.items():
            last_id = other._last_ids[number]
            if digest not in self._numbers:
                self._register(digest, other._descriptions[digest], number, last_id)
            self._last_ids[number] = max(self._last_ids[number], last_id)

    def stored_batches(self) -> int:
        """Return the number of stored batches."""
        return int(self._scalar("SELECT coalesce(sum(rows), 0) FROM destination"))

    def sync(self) -> None:
        """Bring everything that was committed to the disk.

        Raises:
            OSError: if the disk fails.
        """
        os.fdatasync(self._wal)
        self.is_dirty = False

    def release_free_pages(self) -> bool:
        """Return a mebibyte of free pages to the file system; tell whether there are more."""
        free = int(self._scalar("PRAGMA freelist_count"))
        # Keep as many as the log holds: they are soon used again.
        if free * PAGE_BYTES >= WAL_BYTES:
            # execute() would take one step of it, one page.
            self._connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
            self.is_dirty = self._has_shrunk = True
            return True
        if self._has_shrunk:
            # SQLite cuts the file itself when it copies the log into it.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._has_shrunk = False
        return False

    def is_sound(self) -> bool:
        """Check the whole file; this takes seconds for a gigabyte."""
        return bool(self._scalar("PRAGMA quick_check(1)") == "ok")

    def close(self, *, is_broken: bool = False) -> None:
        """Close the file. The log of a sound one is copied into it first."""
        os.close(self._wal)
        self._close_tally()
        with contextlib.suppress(sqlite3.Error):
            if not is_broken:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _close_tally(self) -> None:
        if self._tally is not None:
            self._tally.close()
            self._tally = None

    def _start_tally(self) -> None:
        self._close_tally()
        with contextlib.suppress(OSError):  # without a tally a loss may be uncounted; nothing else depends on it
            self._tally = Tally(self._tally_path, self.salt)
            for digest, number in self._numbers.items():
                self._tally.write_destination(number, digest, self._descriptions[digest])
                self._tally.write_totals(*self._totals(number))

    def _totals(self, number: int) -> tuple[int, int, int, int]:
        query = "SELECT number, last_id, rows, spans FROM destination WHERE number = ?"
        found: tuple[int, int, int, int] = self._connection.execute(query, (number,)).fetchone()
        return found

    def _register(self, digest: bytes, description: str, number: int = 0, last_id: int = 0) -> int:
        number = number or max(self._numbers.values(), default=0) + 1
        last_id = last_id or number << COUNT_BITS
        self._connection.execute(
            "INSERT INTO destination VALUES (?, ?, ?, 0, 0, 0, ?)", (number, digest, description, last_id)
        )
        self._numbers[digest], self._last_ids[number] = number, last_id
        self._descriptions[digest] = description
        if self._tally is not None:
            self._tally.write_destination(number, digest, description)
        return number

    def _count(self, number: int, batches: int, spans: int, size: int, last_id: int = 0) -> None:
        self._touched.add(number)
        self._connection.execute(
            "UPDATE destination SET rows = rows + ?, spans = spans + ?, cost = cost + ?, last_id = max(last_id, ?) "
            "WHERE number = ?",
            (batches, spans, size, last_id, number),
        )

    def _scalar(self, query: str, values: Sequence[int] = ()) -> Any:
        found = self._connection.execute(query, values).fetchone()
        return found[0] if found else None


def _inode(file: Path | int) -> tuple[int, int] | None:
    try:
        status = os.stat(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def _row(id_: int, batch: SpooledBatch) -> tuple[int, int, int, int, bytes]:
    return id_, batch.spans, batch.at_ms, zlib.crc32(batch.body), batch.body
