"""Recognizes batches of Kong's queue that an earlier process has spooled: Kong repeats what it got no answer for.

What this process took is recognized by request (repeated_requests.py), because a repeated batch can hold new records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

_SPOOLED_BATCHES = 256  # remembered in the spool; every nginx worker has one unanswered
_SENDER = b"kong-queue"  # ten bytes; the ids of workers have eight


class RepeatedBatches:
    """Names batches, as the spool remembers them: by a sender's id and a number.

    Args:
        spooled: by sender the number of the last record, or batch, that an earlier process made safe.
        key: of the digest; a client that does not know it cannot make two batches with one name.
    """

    def __init__(self, spooled: Mapping[bytes, int], key: bytes) -> None:
        self._spooled = spooled
        self._key = key[:64]
        self._taken = 0

    def digest(self, body: bytes) -> bytes:
        """Return 8 bytes that name a batch."""
        return hashlib.blake2b(body, digest_size=8, key=self._key).digest()

    def is_repeated(self, digest: bytes) -> bool:
        """Tell whether an earlier process has spooled the batch."""
        # It has stored a few at the most, and a spool that was locked is read later than at the start.
        number = _number(digest)
        return any(one == number and sender.startswith(_SENDER) for sender, one in self._spooled.items())

    def take(self, digest: bytes, *, is_whole: bool) -> tuple[bytes, int]:
        """Return the sender and the number under which a batch is spooled.

        Args:
            digest: of the batch.
            is_whole: False if it has to come again, to bring records of entries that are not known yet.
        """
        self._taken += is_whole
        return _SENDER + bytes([self._taken % _SPOOLED_BATCHES]), _number(digest) if is_whole else 0


def _number(digest: bytes) -> int:
    return int.from_bytes(digest, "big") >> 1  # SQLite's integers have 63 bits
