"""Rows on their way to a collector: which of their spans it has answered for, and which it has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otlp_tracing.sidecar.export.accounting import SpanAccounting
from otlp_tracing.sidecar.export.send_queue import SendQueue
from otlp_tracing.sidecar.otlp.encoder import split
from otlp_tracing.sidecar.spool.batch import SpooledBatch


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSpan:
    """One span, encoded, and the row that it is in."""

    row: SpooledBatch
    span: bytes


class InFlightBatch:
    """Rows that were taken out of a backlog. Whatever happens, close() must be called.

    Args:
        rows: taken.
        queue: they go back there, or are forgotten there.
        accounting: where every span is accounted for.
    """

    def __init__(self, rows: Sequence[SpooledBatch], queue: SendQueue, accounting: SpanAccounting) -> None:
        self._rows = rows
        self._queue = queue
        self._accounting = accounting
        self._pieces: dict[SpooledBatch, dict[EncodedSpan, None]] | None = None
        self._is_done = False
        self.spans = sum(row.spans for row in rows)

    @property
    def bodies(self) -> list[bytes]:
        """All of it, encoded."""
        return [row.body for row in self._rows]

    def pieces(self) -> list[EncodedSpan]:
        """Take it apart, so that each span can be answered for alone."""
        self._pieces = {row: dict.fromkeys(EncodedSpan(row, span) for span in split(row.body)) for row in self._rows}
        return [piece for pieces in self._pieces.values() for piece in pieces]

    def accept(self, rejected: int) -> None:
        """All was accepted, but for some that the collector does not name."""
        self._is_done = True
        self._book(self.spans, rejected)

    def reject(self) -> None:
        """All was refused for good."""
        self._is_done = True
        self._accounting.reject(self.spans)

    def accept_pieces(self, pieces: Sequence[EncodedSpan], rejected: int) -> None:
        """These were accepted, but for some that the collector does not name."""
        self._answered(pieces)
        self._book(len(pieces), rejected)

    def reject_pieces(self, pieces: Sequence[EncodedSpan]) -> None:
        """These were refused for good."""
        self._answered(pieces)
        self._accounting.reject(len(pieces))

    def drop_pieces(self, pieces: Sequence[EncodedSpan], reason: str) -> None:
        """These cannot be sent."""
        self._answered(pieces)
        self._accounting.drop_sent(len(pieces), reason)

    def close(self) -> None:
        """Forget the rows that were answered for, put the others back."""
        if self._is_done:
            self._queue.settle(self._rows)
        elif self._pieces is None:
            self._queue.put_back(self._rows)
        else:
            self._queue.settle([row for row, left in self._pieces.items() if not left])
            rest = [(row, left) for row, left in self._pieces.items() if left]
            for row, left in rest:
                if len(left) < row.spans:
                    row.body, row.spans = b"".join(piece.span for piece in left), len(left)
                    self._queue.rewrite(row)
            self._queue.put_back([row for row, _ in rest])

    def _answered(self, pieces: Sequence[EncodedSpan]) -> None:
        assert self._pieces is not None
        for piece in pieces:
            del self._pieces[piece.row][piece]

    def _book(self, spans: int, rejected: int) -> None:
        rejected = min(rejected, spans)
        self._accounting.export(spans - rejected)
        if rejected:
            self._accounting.reject(rejected)
