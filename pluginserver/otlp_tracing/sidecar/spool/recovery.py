"""Copy the readable batches of a broken spool file into a new one.

SQLite reads a table from both of its ends up to a broken page. Ranges between two broken pages are searched by
halves. Each batch has a checksum as well. The totals come from the tally beside the file if the file itself does not
have them, or was cut short.
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
from otlp_tracing.sidecar.spool.database import Database
from otlp_tracing.sidecar.spool.schema import read_destinations
from otlp_tracing.sidecar.spool.tally import SUFFIX, read_tally

_BATCHES_A_TRANSACTION = 500
_MAX_RANGES = 10_000  # searched for each destination: two for each batch on a broken page, within a second
_UNREADABLE = (sqlite3.Error, TypeError, ValueError, OverflowError)  # of a schema or a value with a flipped bit


class Recovery:
    """A broken file, open for reading. It raises nothing: unreadable parts are skipped.

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
            for one in filter(_is_valid, read_destinations(self._connection)):
                number = one.first_id >> COUNT_BITS
                if number not in self._destinations or self._destinations[number].last_id <= one.last_id:
                    self._destinations[number] = one

    def copy_into(self, database: Database) -> dict[bytes, int]:
        """Copy every readable batch and return the number of lost spans by destination."""
        found = dict.fromkeys(self._destinations, 0)
        with database.transaction():
            for destination in self._destinations.values():
                database.adopt(destination)
        batches = self._batches()
        while some := list(islice(batches, _BATCHES_A_TRANSACTION)):
            with database.transaction():
                for batch in some:
                    number = batch.id >> COUNT_BITS
                    if number in self._destinations:
                        database.adopt(self._destinations[number], (batch,))
                        found[number] += batch.spans
        return {one.digest: max(one.spans - found[number], 0) for number, one in self._destinations.items()}

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _batches(self) -> Iterator[SpooledBatch]:
        for destination in self._destinations.values():
            first = destination.first_id
            ranges = deque([(first, first + (1 << COUNT_BITS) - 1)])
            # Ids are given in order and the oldest batches are deleted first: a search below this id finds nothing.
            count = destination.batches if _is_count(destination.batches) else destination.spans
            oldest = destination.last_id - 2 * count
            for _ in range(_MAX_RANGES):
                if not ranges:
                    break
                gap = yield from self._between(*ranges.popleft())
                ranges.extend(_halves(max(gap.start, oldest), min(gap.stop - 1, destination.last_id)))

    def _between(self, first: int, last: int) -> Generator[SpooledBatch, None, range]:
        """Read batches from both ends of a range of ids; return the range between broken pages, possibly empty."""
        after = yield from self._read("SELECT * FROM row WHERE id BETWEEN ? AND ? ORDER BY id", first, last)
        if after is None:
            return range(0)
        rest = max(after + 1, first)
        before = yield from self._read("SELECT * FROM row WHERE id BETWEEN ? AND ? ORDER BY id DESC", rest, last)
        gap = range(rest, last + 1 if before == 0 else before or 0)
        return gap if len(gap) > 1 or len(gap) < last - first + 1 else range(0)

    def _read(self, query: str, *ids: int) -> Generator[SpooledBatch, None, int | None]:
        """Read batches; return the last id before a broken page, 0 without one, None if all could be read."""
        reached = 0
        try:
            for id_, spans, at_ms, check_sum, body in self._connection.execute(query, ids):
                reached = id_
                if isinstance(body, bytes) and zlib.crc32(body) == check_sum and all(map(_is_count, (spans, at_ms))):
                    yield SpooledBatch(body, spans, at_ms, id_)
        except _UNREADABLE:
            return reached
        return None


def _halves(first: int, last: int) -> list[tuple[int, int]]:
    if first >= last:
        return [(first, last)] if first == last else []
    middle = (first + last) // 2
    return [(first, middle), (middle + 1, last)]


def _is_valid(destination: StoredDestination) -> bool:
    return (
        isinstance(destination.digest, bytes)
        and isinstance(destination.description, str)
        and all(map(_is_count, (destination.spans, destination.first_id, destination.last_id)))
        and destination.first_id <= destination.last_id < destination.first_id + (1 << COUNT_BITS)
    )


def _is_count(value: object) -> bool:
    # A flipped bit can change a value's type.
    return isinstance(value, int) and 0 <= value < 1 << 62
