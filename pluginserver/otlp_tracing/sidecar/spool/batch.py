"""Batches of encoded spans, and the destinations that they wait for."""

from __future__ import annotations

from dataclasses import dataclass, field

COUNT_BITS = 42  # 4 * 10^12 batches for each of two million destinations


def disk_bytes(body_bytes: int) -> int:
    """Return the most that a body takes on disk, in bytes.

    Measured with SQLite's pages of 4 KiB: 1.14 bytes for each byte of a body of 1.2 kB, less for larger ones.
    """
    return body_bytes + body_bytes // 8 + 64


@dataclass(slots=True, eq=False)
class SpooledBatch:
    """Spans of whole requests, which are sent, kept and dropped together. Only the send queue changes one.

    Args:
        body: the spans, each a field of the ScopeSpans message (sidecar/otlp/encoder.py), concatenated.
        spans: their number.
        at_ms: arrival by the spool's clock, milliseconds since 1970.
        id: on disk, rising from older to younger; 0 while the batch is in memory alone.
        is_waiting: in a queue, as opposed to in flight, delivered or dropped.
    """

    body: bytes
    spans: int
    at_ms: int
    id: int = 0
    is_waiting: bool = False
    disk_bytes: int = field(init=False)  # of the body as it came, also after a part of it was delivered

    def __post_init__(self) -> None:
        self.disk_bytes = disk_bytes(len(self.body))


@dataclass(frozen=True, slots=True)
class StoredDestination:
    """A destination that a spool file knows, and the totals of its batches.

    Args:
        digest: of its identity, with the file's salt; 16 bytes.
        description: everything but its secrets, as JSON.
        batches: number of batches that wait.
        spans: number of spans in them.
        disk_bytes: their size on disk, see disk_bytes().
        first_id: lower than the id of each of its batches.
        last_id: highest id in use; new batches get higher ones.
        oldest_ms: arrival of the oldest batch, milliseconds since 1970; 0 without one.
    """

    digest: bytes
    description: str
    batches: int
    spans: int
    disk_bytes: int
    first_id: int
    last_id: int
    oldest_ms: int
