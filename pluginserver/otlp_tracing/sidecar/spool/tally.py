"""What waits for each destination, noted once more beside the spool's file.

SQLite ends its log at the first damaged frame and says nothing about what came after; of a file whose first page is
broken nothing can be read at all. Rows that went that way could be in no count if the only record of them were in the
file. The note is written after each commit and never synchronized: a killed process leaves it as it was, or one
commit behind; after a power cut it may be older than the file, and then says nothing.

Slots of a page each, by the destination's number; in the first, the salt.
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
_COUNTS = struct.Struct(">QQQI")  # last id, rows, spans, check sum
_NAME = struct.Struct(">16sII")  # digest, bytes of the description, check sum of it; the description follows
_NAME_AT = 64
# A longer one, such as with certificates in it, has no name here: its loss is counted if the file knows it.
_MAX_DESCRIPTION_BYTES = _SLOT_BYTES - _NAME_AT - _NAME.size


class Tally:
    """The note, begun anew. Raises nothing after that: a disk that does not take it makes it older, no more.

    Args:
        path: of the file.
        salt: of the digests, 16 bytes.

    Raises:
        OSError: if it cannot be made.
    """

    def __init__(self, path: Path, salt: bytes) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self.name(0, salt, "")

    def name(self, number: int, digest: bytes, description: str) -> None:
        """Note which destination a number is."""
        text = description.encode()
        if len(text) <= _MAX_DESCRIPTION_BYTES:
            named = _NAME.pack(digest, len(text), zlib.crc32(digest + text)) + text
            self._write(named, number * _SLOT_BYTES + _NAME_AT)

    def count(self, number: int, last_id: int, rows: int, spans: int) -> None:
        """Note what waits for it."""
        counts = struct.pack(">QQQ", last_id, rows, spans)
        # Within one page: a write that a kill cannot tear.
        self._write(counts + zlib.crc32(counts).to_bytes(4, "big"), number * _SLOT_BYTES)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _write(self, data: bytes, at: int) -> None:
        with contextlib.suppress(OSError):
            os.pwrite(self._file, data, at)


def read_tally(path: Path) -> tuple[bytes | None, list[StoredDestination]]:
    """Return the salt and the destinations that an earlier process has noted: those that spans waited for."""
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
    last_id, rows, spans, check_sum = _COUNTS.unpack_from(slot)
    if zlib.crc32(slot[: _COUNTS.size - 4]) != check_sum:
        last_id = rows = spans = 0
    return StoredDestination(digest, text.decode(errors="replace"), rows, spans, 0, number << COUNT_BITS, last_id, 0)
