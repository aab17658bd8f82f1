"""The tables of a spool file, and how a connection to it is set up.

In WAL mode a commit is a write into the page cache, which survives a kill of the process. The file is locked
exclusively, so SQLite needs no shared-memory file. A transaction is all or nothing, also in a power cut.

Source: sqlite.org, "Write-Ahead Logging", "Pragma statements" (synchronous, auto_vacuum, journal_size_limit).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from otlp_tracing.sidecar.spool.batch import COUNT_BITS, StoredDestination

FORMAT = 1
PAGE_BYTES = 4096
WAL_BYTES = 4 << 20
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
# SQLite writes its choice of auto_vacuum even if nothing changes. A full disk refuses that, and the file with it.
_NEW_FILE = (f"page_size={PAGE_BYTES}", "auto_vacuum=INCREMENTAL")
_CONNECTION = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    f"journal_size_limit={WAL_BYTES}",
    "cache_size=-2048",
)


def connect(path: Path, new_salt: Callable[[], bytes]) -> tuple[sqlite3.Connection, bytes]:
    """Open a spool file and create its tables if it is empty.

    Args:
        path: of the file.
        new_salt: makes the salt of a new file, 16 bytes.

    Returns:
        The connection, and the file's salt. The connection starts no transactions of its own.

    Raises:
        sqlite3.Error: if the disk does not answer or the file is broken.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        # Before anything is read: SQLite would make the shared-memory file, for which a full disk has no room.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
        is_new = connection.execute("PRAGMA page_count").fetchone()[0] == 0
        for pragma in (*(_NEW_FILE if is_new else ()), *_CONNECTION):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            # In one transaction: a file with the version and without the tables would look complete.
            salt = f"INSERT INTO meta VALUES (x'{new_salt().hex()}')"  # noqa: S608 - hex digits
            connection.executescript(f"BEGIN; {_SCHEMA} {salt}; PRAGMA user_version={FORMAT}; COMMIT")
            # A later version of the program looks for the format in the file itself, not in the log.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        found = connection.execute("SELECT salt FROM meta").fetchone()
        if found is None or not isinstance(found[0], bytes):
            raise sqlite3.DatabaseError("it has no salt")
    except BaseException:
        connection.close()
        raise
    return connection, found[0]


def read_destinations(connection: sqlite3.Connection) -> list[StoredDestination]:
    """Return the destinations of a spool file, sound or broken."""
    return [
        StoredDestination(digest, description, batches, spans, size, number << COUNT_BITS, last_id, oldest_ms or 0)
        for number, digest, description, batches, spans, size, last_id, oldest_ms in connection.execute(
            "SELECT number, digest, description, rows, spans, cost, last_id, (SELECT at_ms FROM row "
            "WHERE id > number << :bits AND id <= last_id ORDER BY id LIMIT 1) FROM destination ORDER BY number",
            {"bits": COUNT_BITS},
        ).fetchall()
    ]


def destination_digest(identity: bytes, salt: bytes) -> bytes:
    """Return a name for a destination that does not reveal the secrets in its identity."""
    return hashlib.blake2b(identity, digest_size=16, key=salt).digest()
