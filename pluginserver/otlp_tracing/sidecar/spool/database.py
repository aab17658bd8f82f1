"""The spool's SQLite file: rows of spans, by destination. Synchronous; for one thread.

In WAL mode a commit is a write into the page cache, which a killed process leaves behind; sync() brings it to
the disk. The file is held exclusively, so that there is no shared-memory file, and a transaction is all or
nothing whenever the power goes.

A row's id is its destination's number in the upper bits and a count in the lower ones: a destination's rows lie
together, and no index has to be written.

Source: sqlite.org, "Write-Ahead Logging", "Pragma statements" (synchronous, auto_vacuum, journal_size_limit).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otlp_tracing.sidecar.spool.batch import COUNT_BITS, SpooledBatch, StoredDestination, cost
from otlp_tracing.sidecar.spool.folder import FORMAT
from otlp_tracing.sidecar.spool.tally import SUFFIX, Tally, read_tally

_SALT_BYTES = 16
_MAX_SENDERS = 1024  # as many as the receiver remembers
_VACUUM_PAGES = 256  # a mebibyte at a time: some milliseconds
_PAGE_BYTES = 4096
_WAL_BYTES = 4 << 20
_SCHEMA = """
CREATE TABLE meta (salt BLOB NOT NULL);
CREATE TABLE destination (
    number INTEGER PRIMARY KEY, digest BLOB UNIQUE NOT NULL, description TEXT NOT NULL,
    rows INTEGER NOT NULL, spans INTEGER NOT NULL, cost INTEGER NOT NULL, last_id INTEGER NOT NULL
);
CREATE TABLE row (
    id INTEGER PRIMARY KEY, spans INTEGER NOT NULL, at_ms INTEGER NOT NULL, check_sum INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE sender (id BLOB PRIMARY KEY, number INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What load() read: rows, those whose bytes are not what was written, and up to which id it looked."""

    rows: list[SpooledBatch]
    broken: list[SpooledBatch]
    last_id: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """What drop() took away: how much, and up to which id everything was looked at."""

    rows: int
    spans: int
    cost: int
    last_id: int


def read_destinations(connection: sqlite3.Connection) -> list[StoredDestination]:
    """Return the destinations that a spool file knows, whole or broken."""
    return [
        StoredDestination(digest_, description, rows, spans, cost_, number << COUNT_BITS, last_id, oldest_ms or 0)
        for number, digest_, description, rows, spans, cost_, last_id, oldest_ms in connection.execute(
            "SELECT number, digest, description, rows, spans, cost, last_id, (SELECT at_ms FROM row "
            "WHERE id > number << :bits AND id <= last_id ORDER BY id LIMIT 1) FROM destination ORDER BY number",
            {"bits": COUNT_BITS},
        ).fetchall()
    ]


def digest(identity: bytes, salt: bytes) -> bytes:
    """Name a destination without telling the secrets in its identity."""
    return hashlib.blake2b(identity, digest_size=16, key=salt).digest()


class Database:
    """An open spool file.

    Raises, here and in every method:
        sqlite3.OperationalError: the disk does not do what is asked.
        sqlite3.DatabaseError: the file is broken.
    """

    def __init__(self, path: Path, salt: bytes | None = None) -> None:
        # OpenedSpool without a transaction of the module's own, and used by the thread that opens it.
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            self._open(path, salt)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, path: Path, salt: bytes | None) -> None:
        self._numbers: dict[bytes, int] = {}
        self._last_ids: dict[int, int] = {}
        self._descriptions: dict[bytes, str] = {}
        self._is_dirty = self._has_shrunk = False
        self._tally_path = path.with_name(path.name + SUFFIX)
        self._tally: Tally | None = None
        self._touched: set[int] = set()
        for pragma in (
            f"page_size={_PAGE_BYTES}",
            "auto_vacuum=INCREMENTAL",
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            f"journal_size_limit={_WAL_BYTES}",
            "cache_size=-2048",
        ):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        if self._one("PRAGMA user_version") == 0:
            # That of the tally, if there is one: what it notes was in the file that is gone.
            self._create(salt or read_tally(self._tally_path)[0] or os.urandom(_SALT_BYTES))
        salt_found = self._one("SELECT salt FROM meta")
        if not isinstance(salt_found, bytes):
            raise sqlite3.DatabaseError("it has no salt")
        self.salt = salt_found
        for number, digest_, text, last_id in self._connection.execute(
            "SELECT number, digest, description, last_id FROM destination"
        ):
            self._numbers[digest_], self._last_ids[number], self._descriptions[digest_] = number, last_id, text
        self._wal = os.open(path.with_name(path.name + "-wal"), os.O_RDONLY | os.O_CLOEXEC)

    @property
    def is_dirty(self) -> bool:
        """Tell whether something was written that sync() has not brought to the disk."""
        return self._is_dirty

    def destinations(self) -> list[StoredDestination]:
        """Return every destination that was ever registered."""
        return read_destinations(self._connection)

    def senders(self) -> dict[bytes, int]:
        """Return the number of the last stored record of each sender."""
        return dict(self._connection.execute("SELECT id, number FROM sender").fetchall())

    def take_stock(self) -> dict[bytes, int]:
        """Begin the tally anew; not in a transaction, nor before the file was found to be sound.

        Returns:
            By destination the spans that the tally of an earlier process has and this file has not. Exact as long as
            rows were deleted in their order, else to within what was being sent.
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
                    # What waited and is not lost are the last of the rows here; those before them had been delivered.
                    kept = self._one(
                        "SELECT coalesce(sum(spans), 0) FROM (SELECT spans FROM row WHERE id > ? AND id <= ? "
                        "ORDER BY id DESC LIMIT ?)",
                        (noted.first_id, self._last_ids[number], max(noted.rows - lost, 0)),
                    )
                    missing[noted.digest] = max(noted.spans - kept, 0)
        self._begin_tally()
        return missing

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one transaction: all of it or nothing."""
        last_ids, numbers, descriptions = dict(self._last_ids), dict(self._numbers), dict(self._descriptions)
        self._touched.clear()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            counts = [self._counts(number) for number in self._touched if number in self._last_ids]
            self._connection.execute("COMMIT")
        except BaseException:
            self._last_ids, self._numbers, self._descriptions = last_ids, numbers, descriptions
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._is_dirty = True
        if self._tally is not None:
            for count in counts:
                self._tally.count(*count)

    def append(self, destination: bytes, description: str, rows: Sequence[SpooledBatch]) -> list[int]:
        """Store rows and return their ids, in a transaction.

        Args:
            destination: its digest.
            description: stored if the destination is new.
            rows: of that destination.
        """
        number = self._numbers.get(destination) or self._register(destination, description)
        first = self._last_ids[number] + 1
        ids = list(range(first, first + len(rows)))
        self._connection.executemany(
            "INSERT INTO row VALUES (?, ?, ?, ?, ?)",
            [_record(id_, row) for id_, row in zip(ids, rows, strict=True)],
        )
        self._last_ids[number] = ids[-1]
        self._book(number, len(rows), sum(row.spans for row in rows), sum(cost(len(row.body)) for row in rows), ids[-1])
        return ids

    def delete(self, ids: Iterable[int]) -> None:
        """Delete rows, in a transaction; one that is not there is none."""
        gone = json.dumps(list(ids))
        for number, rows, spans, cost_ in self._connection.execute(
            "SELECT id >> ?, count(*), sum(spans), sum(length(body) + length(body) / 8 + 64) FROM row "
            "WHERE id IN (SELECT value FROM json_each(?)) GROUP BY 1",
            (COUNT_BITS, gone),
        ).fetchall():
            self._book(number, -rows, -spans, -cost_)
        self._connection.execute("DELETE FROM row WHERE id IN (SELECT value FROM json_each(?))", (gone,))

    def rewrite(self, row: SpooledBatch) -> None:
        """Store what is left of a row of which a part was delivered, in a transaction."""
        self.delete([row.id])
        self._connection.execute("INSERT INTO row VALUES (?, ?, ?, ?, ?)", _record(row.id, row))
        self._book(row.id >> COUNT_BITS, 1, row.spans, cost(len(row.body)))

    def load(self, after: int, until: int, max_bytes: int, excluded: Iterable[int]) -> Loaded:
        """Read rows, oldest first, as many as max_bytes hold, one at the least.

        Args:
            after: an id; rows with greater ones are read.
            until: an id, the greatest that is read.
            max_bytes: of their bodies.
            excluded: ids passed over.
        """
        rows: list[SpooledBatch] = []
        broken: list[SpooledBatch] = []
        size, last, skipped = 0, after, set(excluded)
        cursor = self._connection.execute(
            "SELECT id, spans, at_ms, check_sum, body FROM row WHERE id > ? AND id <= ? ORDER BY id", (after, until)
        )
        for id_, spans, at_ms, check_sum, body in cursor:
            if id_ in skipped:
                last = id_
                continue
            if rows and size + len(body) > max_bytes:
                break
            last = id_
            is_sound = zlib.crc32(body) == check_sum
            (rows if is_sound else broken).append(SpooledBatch(body, spans, at_ms, id_))
            size += len(body)
        else:
            last = until
        cursor.close()
        return Loaded(rows, broken, last)

    def drop(self, after: int, until: int, excluded: Iterable[int], *, want: int = 0, before_ms: int = 0) -> Dropped:
        """Delete the oldest rows, in a transaction.

        Args:
            after: an id; rows with greater ones are deleted.
            until: an id, the greatest that is deleted.
            excluded: ids passed over.
            want: how much to free, by cost().
            before_ms: rows that came before are deleted, however much that is.
        """
        gone: list[int] = []
        spans = freed = 0
        last, skipped = after, set(excluded)
        cursor = self._connection.execute(
            "SELECT id, spans, at_ms, length(body) FROM row WHERE id > ? AND id <= ? ORDER BY id", (after, until)
        )
        for id_, row_spans, at_ms, size in cursor:
            if freed >= want and at_ms >= before_ms:
                break
            last = id_
            if id_ not in skipped:
                gone.append(id_)
                spans += row_spans
                freed += cost(size)
        else:
            last = until
        cursor.close()
        if gone:
            self._connection.execute(
                "DELETE FROM row WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(gone),)
            )
            self._book(gone[0] >> COUNT_BITS, -len(gone), -spans, -freed)
        return Dropped(len(gone), spans, freed, last)

    def remember(self, senders: Mapping[bytes, int]) -> None:
        """Note up to which record each sender's are stored, in a transaction."""
        self._connection.executemany(
            "INSERT INTO sender VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET number = excluded.number",
            list(senders.items()),
        )

    def forget_senders(self) -> None:
        """Forget all senders but those remembered last, once when it is opened."""
        self._connection.execute(
            "DELETE FROM sender WHERE rowid <= (SELECT max(rowid) FROM sender) - ?", (_MAX_SENDERS,)
        )

    def forget(self, destination: bytes | None = None) -> None:
        """Forget a destination by its digest, or every one, that has no rows, in a transaction.

        But for the last: its number would be given to the next, and a row that is deleted late is known by it.
        """
        empty = self._connection.execute(
            "SELECT number, digest FROM destination WHERE rows = 0 AND number < (SELECT max(number) FROM destination) "
            "AND digest = coalesce(?, digest)",
            (destination,),
        ).fetchall()
        self._connection.executemany("DELETE FROM destination WHERE number = ?", [(number,) for number, _ in empty])
        for number, digest_ in empty:
            del self._numbers[digest_], self._last_ids[number], self._descriptions[digest_]
            if self._tally is not None:
                self._tally.count(number, 0, 0, 0)

    def adopt(self, destination: StoredDestination, rows: Iterable[SpooledBatch] = ()) -> None:
        """Store a destination and rows under the ids they had in another file, in a transaction."""
        number = destination.first_id >> COUNT_BITS
        if destination.digest not in self._numbers:
            self._register(destination.digest, destination.description, number, destination.last_id)
        for row in rows:
            record = _record(row.id, row)
            if self._connection.execute("INSERT OR IGNORE INTO row VALUES (?, ?, ?, ?, ?)", record).rowcount:
                self._book(number, 1, row.spans, cost(len(row.body)))

    def go_on_after(self, other: Database) -> None:
        """Let ids go on after those of a file that this one replaces, in a transaction."""
        for digest_, number in other._numbers.items():
            last_id = other._last_ids[number]
            if digest_ not in self._numbers:
                self._register(digest_, other._descriptions[digest_], number, last_id)
            self._last_ids[number] = max(self._last_ids[number], last_id)

    def stored_rows(self) -> int:
        """Return how many rows there are."""
        return int(self._one("SELECT coalesce(sum(rows), 0) FROM destination"))

    def sync(self) -> None:
        """Bring everything that was committed to the disk.

        Raises:
            OSError: if the disk fails.
        """
        os.fdatasync(self._wal)
        self._is_dirty = False

    def give_back(self) -> bool:
        """Return a mebibyte of free pages to the file system; tell whether there are more."""
        free = int(self._one("PRAGMA freelist_count"))
        # As much as the log holds is soon used again.
        if free * _PAGE_BYTES >= _WAL_BYTES:
            # execute() would take one step of it, one page.
            self._connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
            self._is_dirty = self._has_shrunk = True
            return True
        if self._has_shrunk:
            # The file itself is cut when the log is brought into it.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._has_shrunk = False
        return False

    def is_sound(self) -> bool:
        """Check the whole file; a matter of seconds for a gigabyte."""
        return bool(self._one("PRAGMA quick_check(1)") == "ok")

    def close(self) -> None:
        """Bring everything into the one file and let go of it."""
        self._close_files()
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()

    def abandon(self) -> None:
        """Let go of a broken file."""
        self._close_files()
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _close_files(self) -> None:
        os.close(self._wal)
        self._close_tally()

    def _close_tally(self) -> None:
        if self._tally is not None:
            self._tally.close()
            self._tally = None

    def _begin_tally(self) -> None:
        self._close_tally()
        with contextlib.suppress(OSError):  # without it a loss may go uncounted, and nothing else
            self._tally = Tally(self._tally_path, self.salt)
            for digest_, number in self._numbers.items():
                self._tally.name(number, digest_, self._descriptions[digest_])
                self._tally.count(*self._counts(number))

    def _counts(self, number: int) -> tuple[int, int, int, int]:
        query = "SELECT number, last_id, rows, spans FROM destination WHERE number = ?"
        found: tuple[int, int, int, int] = self._connection.execute(query, (number,)).fetchone()
        return found

    def _create(self, salt: bytes) -> None:
        # In one transaction: a file with the version and without the rest would look whole.
        filled = f"INSERT INTO meta VALUES (x'{salt.hex()}'); PRAGMA user_version={FORMAT};"  # noqa: S608 - hex digits
        self._connection.executescript(f"BEGIN; {_SCHEMA} {filled} COMMIT")
        # Into the file itself, where a later version looks for the format.
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _register(self, destination: bytes, description: str, number: int = 0, last_id: int = 0) -> int:
        number = number or max(self._numbers.values(), default=0) + 1
        last_id = last_id or number << COUNT_BITS
        self._connection.execute(
            "INSERT INTO destination VALUES (?, ?, ?, 0, 0, 0, ?)", (number, destination, description, last_id)
        )
        self._numbers[destination], self._last_ids[number] = number, last_id
        self._descriptions[destination] = description
        if self._tally is not None:
            self._tally.name(number, destination, description)
        return number

    def _book(self, number: int, rows: int, spans: int, cost_: int, last_id: int = 0) -> None:
        self._touched.add(number)
        self._connection.execute(
            "UPDATE destination SET rows = rows + ?, spans = spans + ?, cost = cost + ?, last_id = max(last_id, ?) "
            "WHERE number = ?",
            (rows, spans, cost_, last_id, number),
        )

    def _one(self, query: str, values: Sequence[int] = ()) -> Any:
        found = self._connection.execute(query, values).fetchone()
        return found[0] if found else None


def _record(id_: int, row: SpooledBatch) -> tuple[int, int, int, int, bytes]:
    return id_, row.spans, row.at_ms, zlib.crc32(row.body), row.body
