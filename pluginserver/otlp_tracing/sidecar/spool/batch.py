"""What the spool keeps: the spans of whole requests, encoded."""

from __future__ import annotations

from dataclasses import dataclass, field

COUNT_BITS = 42  # 4 * 10^12 rows of each of two million destinations


def cost(body_bytes: int) -> int:
    """Return what a body takes on disk at the most, in bytes.

    Measured with SQLite's pages of 4 KiB: 1.14 bytes a byte for bodies of 1.2 kB, less for larger ones.
    """
    return body_bytes + body_bytes // 8 + 64


@dataclass(slots=True, eq=False)
class SpooledBatch:
    """Spans of whole requests, to be sent, kept and dropped together.

    Args:
        body: the spans, as fields of the ScopeSpans that they become (sidecar/otlp/encoder.py), one after another.
        spans: how many they are.
        at_ms: when they came, by the spool's clock, milliseconds since 1970.
        id: on disk, rising from older to younger; 0 as long as it is in memory alone.
        is_waiting: in a backlog, as opposed to being sent, delivered or dropped.
    """

    body: bytes
    spans: int
    at_ms: int
    id: int = 0
    is_waiting: bool = False
    cost: int = field(init=False)  # as it came, even when a part of it has been delivered since

    def __post_init__(self) -> None:
        self.cost = cost(len(self.body))


@dataclass(frozen=True, slots=True)
class StoredDestination:
    """A destination that a spool knows, and what waits there for it.

    Args:
        digest: of its identity, with the spool's salt.
        description: all but its secrets, as JSON.
        rows: how many wait.
        spans: likewise.
        cost: in bytes, see cost().
        first_id: below all of its rows.
        last_id: of its rows; new ones come after.
        oldest_ms: when the oldest came, milliseconds since 1970.
    """

    digest: bytes
    description: str
    rows: int
    spans: int
    cost: int
    first_id: int
    last_id: int
    oldest_ms: int
