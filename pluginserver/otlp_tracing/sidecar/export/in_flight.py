"""Rows on their way to a collector: which of their spans it has answered for, and which it has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otlp_tracing.sidecar.export.accounting import Books
from otlp_tracing.sidecar.export.send_queue import Backlog
from otlp_tracing.sidecar.otlp.encoder import split
from otlp_tracing.sidecar.spool.batch import Row

__all__ = ["Piece", "Shipment"]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One span, encoded, and the row that it is in."""

    row: Row
    span: bytes


class Shipment:
    """Rows that were taken out of a backlog. Whatever happens, close() must be called.

    Args:
        rows: taken.
        backlog: they go back there, or are forgotten there.
        books: where every span is accounted for.
    """

    def __init__(self, rows: Sequence[Row], backlog: Backlog, books: Books) -> None:
        self._rows = rows
        self._backlog = backlog
        self._books = books
        self._pieces: dict[Row, dict[Piece, None]] | None = None
        self._is_done = False
        self.spans = sum(row.spans for row in rows)

    @property
    def bodies(self) -> list[bytes]:
        """All of it, encoded."""
        return [row.body for row in self._rows]

    def pieces(self) -> list[Piece]:
        """Take it apart, so that each span can be answered for alone."""
        self._pieces = {row: dict.fromkeys(Piece(row, span) for span in split(row.body)) for row in self._rows}
        return [piece for pieces in self._pieces.values() for piece in pieces]

    def accept(self, rejected: int) -> None:
        """All was accepted, but for some that the collector does not name."""
        self._is_done = True
        self._book(self.spans, rejected)

    def reject(self) -> None:
        """All was refused for good."""
        self._is_done = True
        self._books.reject(self.spans)

    def accept_pieces(self, pieces: Sequence[Piece], rejected: int) -> None:
        """These were accepted, but for some that the collector does not name."""
        self._answered(pieces)
        self._book(len(pieces), rejected)

    def reject_pieces(self, pieces: Sequence[Piece]) -> None:
        """These were refused for good."""
        self._answered(pieces)
        self._books.reject(len(pieces))

    def drop_pieces(self, pieces: Sequence[Piece], reason: str) -> None:
        """These cannot be sent."""
        self._answered(pieces)
        self._books.drop_sent(len(pieces), reason)

    def close(self) -> None:
        """Forget the rows that were answered for, put the others back."""
        if self._is_done:
            self._backlog.settle(self._rows)
        elif self._pieces is None:
            self._backlog.put_back(self._rows)
        else:
            self._backlog.settle([row for row, left in self._pieces.items() if not left])
            rest = [(row, left) for row, left in self._pieces.items() if left]
            for row, left in rest:
                if len(left) < row.spans:
                    row.body, row.spans = b"".join(piece.span for piece in left), len(left)
                    self._backlog.rewrite(row)
            self._backlog.put_back([row for row, _ in rest])

    def _answered(self, pieces: Sequence[Piece]) -> None:
        assert self._pieces is not None
        for piece in pieces:
            del self._pieces[piece.row][piece]

    def _book(self, spans: int, rejected: int) -> None:
        rejected = min(rejected, spans)
        self._books.export(spans - rejected)
        if rejected:
            self._books.reject(rejected)
