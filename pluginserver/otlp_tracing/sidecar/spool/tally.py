"""The totals of each destination, written a second time, in a file beside the spool's.

SQLite ends its log at the first damaged frame and does not report the rest. If the first page of the file is broken,
nothing in it can be read. Without a second record, spans that were lost that way would be in no count. The tally is
written after each commit and never synchronized. A killed process leaves it as it was, or one commit behind. After a
power cut it may be older than the file, and is then ignored.

Format: one slot of a page for each destination, by its number. The first slot has the salt.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from pathlib import Path

from otlp_tracing.sidecar.spool.batch import COUNT_BITS, StoredDestination

SUFFIX = "-tally"  # after the database's name
_SLOT_BYTES = 4096
_TOTALS = struct.Struct(">QQQI")  # last id, batches, spans, checksum
_NAME = struct.Struct(">16sII")  # digest, bytes of the description, checksum; the description follows
_NAME_AT = 64
# A longer description, for example with certificates in it, is left out: a loss is then counted from the file alone.
_MAX_DESCRIPTION_BYTES = _SLOT_BYTES - _NAME_AT - _NAME.size


class Tally:
    """A new tally. After that it raises nothing: if the disk refuses a write, the tally is older.

    Args:
        path: of the file.
        salt: of the digests, 16 bytes.

    Raises:
        OSError: if the file cannot be created.
    """

    def __init__(self, path: Path, salt: bytes) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self.write_destination(0, salt, "")

    def write_destination(self, number: int, digest: bytes, description: str) -> None:
        """Write which destination has a number."""
        text = description.encode()
        if len(text) <= _MAX_DESCRIPTION_BYTES:
            name = _NAME.pack(digest, len(text), zlib.crc32(digest + text)) + text
            self._write(name, number * _SLOT_BYTES + _NAME_AT)

    def write_totals(self, number: int, last_id: int, batches: int, spans: int) -> None:
        """Write the totals of a destination."""
        totals = struct.pack(">QQQ", last_id, batches, spans)
        # Within one page, so a kill cannot tear the write.
        self._write(totals + zlib.crc32(totals).to_bytes(4, "big"), number * _SLOT_BYTES)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, data: bytes, at: int) -> None:
        with contextlib.suppress(OSError):
            os.pwrite(self._file, data, at)


def read_tally(path: Path) -> tuple[bytes | None, list[StoredDestination]]:
    """Return the salt and the destinations with waiting spans from the tally of an earlier process."""
    salt, found = None, []
    with contextlib.suppress(OSError), path.open("rb") as file:
        number = 0
        while slot := file.read(_SLOT_BYTES):
            one = _destination(number, slot.ljust(_SLOT_BYTES, b"\0"))
            if number == 0:
                salt = one.digest if one else None
            elif one is not None and one.spans:
                found.append(one)
            number += 1
    return salt, found


def _destination(number: int, slot: bytes) -> StoredDestination | None:
    digest, size, check_sum = _NAME.unpack_from(slot, _NAME_AT)
    text = slot[_NAME_AT + _NAME.size :][:size]
    if zlib.crc32(digest + text) != check_sum:
        return None
    last_id, batches, spans, check_sum = _TOTALS.unpack_from(slot)
    if zlib.crc32(slot[: _TOTALS.size - 4]) != check_sum:
        last_id = batches = spans = 0
    return StoredDestination(digest, text.decode(errors="replace"), batches, spans, 0, number << COUNT_BITS, last_id, 0)
