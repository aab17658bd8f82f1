"""The pipeline, as the two listeners see it that bring it records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from otlp_tracing.handoff.frames import Refused
from otlp_tracing.metrics import Total


class Sink(Protocol):
    """Stores the spans of records in the spool. The socket of the workers and the HTTP listener both need it."""

    def flush(self, worker_id: bytes, number: int) -> asyncio.Future[None] | None:
        """Make the records up to a number safe; return a future that is done then, None if they are."""

    async def room(self) -> None:
        """Wait while there is no room for more."""

    def reject(self, reason: str) -> None:
        """Count a record, a batch, or the rest of a connection, that is rejected."""


class RecordSink(Sink, Protocol):
    """Processes the records of the plugin server's workers."""

    @property
    def has_room(self) -> bool:
        """There is room for more."""

    def configure(self, key: bytes, config: bytes) -> None:
        """Register a plugin entry's configuration."""

    def refuse(self, refused: Refused) -> None:
        """Note a plugin entry that a worker refused."""

    def knows(self, key: bytes) -> bool:
        """Tell whether an entry's configuration is registered."""

    def take(self, key: bytes, log: bytes, worker_id: bytes) -> None:
        """Process one request's record."""

    def report(self, worker_id: bytes, totals: Sequence[Total]) -> None:
        """Add the counts of a worker since its start."""

    def last_number(self, worker_id: bytes) -> int:
        """Return the number of a worker's last record that an earlier sidecar made safe; otherwise 0."""


class QueueSink(Sink, Protocol):
    """Processes the records of Kong's own queue."""

    def take_queued(self, log: bytes, seed: bytes, *, is_last: bool) -> bytes | None:
        """Process a record; return the key of its entry if that is unknown and the record was not processed."""
