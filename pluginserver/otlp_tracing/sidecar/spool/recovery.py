"""What can still be read of a broken spool file, put into a new one.

SQLite reads a table from both of its ends until it meets a broken page; what lies between two such pages is looked
for in halves. Every row has a checksum besides. What there was, the tally beside the file says, where the file itself
does not or was cut short.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections import deque
from collections.abc import Generator, Iterator
from itertools import islice
from pathlib import Path

from otlp_tracing.sidecar.spool.batch import COUNT_BITS, SpooledBatch, StoredDestination
from otlp_tracing.sidecar.spool.database import Database, read_destinations
from otlp_tracing.sidecar.spool.tally import SUFFIX, read_tally

_ROWS_A_TRANSACTION = 500
_MAX_RANGES = 10_000  # looked into for each destination: two for every row on a broken page, within a second
_UNREADABLE = (sqlite3.Error, TypeError, ValueError, OverflowError)  # of a schema or a value with a bit that flipped


class Recovery:
    """A broken file, open for reading. Raises nothing: what cannot be read is not there.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        self.salt, noted = read_tally(path.with_name(path.name + SUFFIX))
        self._destinations = {one.first_id >> COUNT_BITS: one for one in noted}
        with contextlib.suppress(*_UNREADABLE):
            salt = self._connection.execute("SELECT salt FROM meta").fetchone()[0]
            self.salt = salt if isinstance(salt, bytes) else self.salt
        with contextlib.suppress(*_UNREADABLE):
            for one in filter(_is_whole, read_destinations(self._connection)):
                number = one.first_id >> COUNT_BITS
                if number not in self._destinations or self._destinations[number].last_id <= one.last_id:
                    self._destinations[number] = one

    def into(self, database: Database) -> dict[bytes, int]:
        """Copy what can be read.

        Returns:
            By destination the spans that are lost.
        """
        found = dict.fromkeys(self._destinations, 0)
        with database.transaction():
            for destination in self._destinations.values():
                database.adopt(destination)
        rows = self._rows()
        while some := list(islice(rows, _ROWS_A_TRANSACTION)):
            with database.transaction():
                for row in some:
                    number = row.id >> COUNT_BITS
                    if number in self._destinations:
                        database.adopt(self._destinations[number], (row,))
                        found[number] += row.spans
        return {one.digest: max(one.spans - found[number], 0) for number, one in self._destinations.items()}

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _rows(self) -> Iterator[SpooledBatch]:
        for destination in self._destinations.values():
            first = destination.first_id
            ranges = deque([(first, first + (1 << COUNT_BITS) - 1)])
            # Ids are given one after the other and the oldest rows go first: below, a search would find nothing.
            rows = destination.rows if _is_count(destination.rows) else destination.spans
            oldest = destination.last_id - 2 * rows
            for _ in range(_MAX_RANGES):
                if not ranges:
                    break
                gap = yield from self._between(*ranges.popleft())
                ranges.extend(_halves(max(gap.start, oldest), min(gap.stop - 1, destination.last_id)))

    def _between(self, first: int, last: int) -> Generator[SpooledBatch, None, range]:
        """Read rows from both ends of a range of ids; return what lies between broken pages, which may be nothing."""
        after = yield from self._read("SELECT * FROM row WHERE id BETWEEN ? AND ? ORDER BY id", first, last)
        if after is None:
            return range(0)
        rest = max(after + 1, first)
        before = yield from self._read("SELECT * FROM row WHERE id BETWEEN ? AND ? ORDER BY id DESC", rest, last)
        gap = range(rest, last + 1 if before == 0 else before or 0)
        return gap if len(gap) > 1 or len(gap) < last - first + 1 else range(0)

    def _read(self, query: str, *ids: int) -> Generator[SpooledBatch, None, int | None]:
        """Read rows; return the id of the last before a broken page, 0 if there was none, None if all was read."""
        met = 0
        try:
            for id_, spans, at_ms, check_sum, body in self._connection.execute(query, ids):
                met = id_
                if isinstance(body, bytes) and zlib.crc32(body) == check_sum and all(map(_is_count, (spans, at_ms))):
                    yield SpooledBatch(body, spans, at_ms, id_)
        except _UNREADABLE:
            return met
        return None


def _halves(first: int, last: int) -> list[tuple[int, int]]:
    if first >= last:
        return [(first, last)] if first == last else []
    middle = (first + last) // 2
    return [(first, middle), (middle + 1, last)]


def _is_whole(destination: StoredDestination) -> bool:
    return (
        isinstance(destination.digest, bytes)
        and isinstance(destination.description, str)
        and all(map(_is_count, (destination.spans, destination.first_id, destination.last_id)))
        and destination.first_id <= destination.last_id < destination.first_id + (1 << COUNT_BITS)
    )


def _is_count(value: object) -> bool:
    # A bit that has flipped makes any type of any value.
    return isinstance(value, int) and 0 <= value < 1 << 62
