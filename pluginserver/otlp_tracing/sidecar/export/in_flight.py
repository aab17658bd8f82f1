"""Batches on their way to a collector: which of their spans it has answered for, and which it has not."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from otlp_tracing.sidecar.export.accounting import SpanAccounting
from otlp_tracing.sidecar.export.send_queue import SendQueue
from otlp_tracing.sidecar.otlp.encoder import split
from otlp_tracing.sidecar.spool.batch import SpooledBatch

_BODY, _SPANS = attrgetter("body"), attrgetter("spans")


class EncodedSpan(NamedTuple):
    """One span.

    Args:
        batch: number of the batch that it is in.
        position: in that batch.
        payload: the encoded span.
    """

    batch: int
    position: int
    payload: bytes


class InFlightBatch:
    """The batches of one export request. Call close() whatever happens.

    Args:
        batches: removed from a queue.
        queue: where they return to, or are forgotten.
        accounting: where every span is counted.
    """

    def __init__(self, batches: Sequence[SpooledBatch], queue: SendQueue, accounting: SpanAccounting) -> None:
        self._batches = batches
        self._queue = queue
        self._accounting = accounting
        self._unanswered: list[dict[int, bytes]] | None = None  # by batch and position, once it was split
        self._is_answered = False
        self.payloads: list[bytes] = list(map(_BODY, batches))
        self.spans: int = sum(map(_SPANS, batches))

    def split(self) -> list[EncodedSpan]:
        """Take it apart, so that each span can be answered for alone."""
        self._unanswered = [dict(enumerate(split(batch.body))) for batch in self._batches]
        return [
            EncodedSpan(number, position, payload)
            for number, spans in enumerate(self._unanswered)
            for position, payload in spans.items()
        ]

    def accept(self, rejected: int) -> None:
        """Count all of them as exported, except those that a partial success rejected without naming them."""
        self._is_answered = True
        self._accounting.export(self.spans, rejected)

    def reject(self) -> int:
        """Count all that were not answered for as rejected, and return their number."""
        self._is_answered = True
        spans = self.spans if self._unanswered is None else sum(map(len, self._unanswered))
        self._accounting.reject(spans)
        return spans

    def accept_spans(self, spans: Sequence[EncodedSpan], rejected: int) -> None:
        """Count some as exported, except those that a partial success rejected."""
        self._set_answered(spans)
        self._accounting.export(len(spans), rejected)

    def reject_spans(self, spans: Sequence[EncodedSpan]) -> None:
        """Count some as rejected."""
        self._set_answered(spans)
        self._accounting.reject(len(spans))

    def drop_spans(self, spans: Sequence[EncodedSpan], reason: str) -> None:
        """Count some as dropped, because they cannot be sent."""
        self._set_answered(spans)
        self._accounting.drop_sent(len(spans), reason)

    def close(self) -> None:
        """Forget the batches that were answered for, and put the others back."""
        if self._is_answered:
            self._queue.settle(self._batches)
        elif self._unanswered is None:
            self._queue.put_back(self._batches)
        else:
            pairs = list(zip(self._batches, self._unanswered, strict=True))
            for batch, left in pairs:
                if 0 < len(left) < batch.spans:
                    self._queue.keep_rest(batch, list(left.values()))
            self._queue.settle([batch for batch, left in pairs if not left])
            self._queue.put_back([batch for batch, left in pairs if left])

    def _set_answered(self, spans: Sequence[EncodedSpan]) -> None:
        assert self._unanswered is not None
        for number, position, _ in spans:
            del self._unanswered[number][position]
