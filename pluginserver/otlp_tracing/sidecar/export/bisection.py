"""Bisection: find the spans that a collector refuses, so that they cost no other span of their batch.

Source: opentelemetry-proto, docs/specification.md, "Failures": a refused request must not be repeated as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.sidecar.export.in_flight import EncodedSpan, InFlightBatch
from otlp_tracing.sidecar.export.result import Action, ExportResult

# OTLP allows 4 MiB for an uncompressed request; the difference is for the resource and the framing.
MAX_REQUEST_BYTES = 3_500_000
_MAX_REFUSED_REQUESTS = 32  # of one batch, once the collector refuses everything

_log = logging.getLogger("otlp_tracing.sidecar.export")


class Bisection:
    """Sends the halves of a batch, the halves of a refused half, and so on.

    Args:
        export: sends encoded spans in one request.
        is_refusing: tells whether the collector refuses everything.
        on_accepted: called with the number of spans of each accepted request and the answer.
        on_rejected: called in the same way for the spans that are refused alone.
        noun: for one of them, in log lines.
    """

    def __init__(
        self,
        export: Callable[[Sequence[bytes]], Awaitable[ExportResult]],
        is_refusing: Callable[[], bool],
        on_accepted: Callable[[int, ExportResult], None],
        on_rejected: Callable[[int, ExportResult], None],
        noun: str = "span",
    ) -> None:
        self._export = export
        self._is_refusing = is_refusing
        self._on_accepted = on_accepted
        self._on_rejected = on_rejected
        self._noun = noun
        self._too_large = LimitedLog(_log)

    async def send(self, batch: InFlightBatch) -> ExportResult | None:
        """Send a batch that was refused, or is too large, until only the offending spans are left.

        Returns:
            The collector's answer if it refused every span, otherwise None.
        """
        refused: list[tuple[list[EncodedSpan], ExportResult]] = []
        is_any_accepted, spans, requests = False, batch.split(), 0
        stack = [spans] if len(spans) == 1 else _halves(spans)
        while stack:
            part = stack.pop()
            if sum(len(span.payload) for span in part) > MAX_REQUEST_BYTES:
                if len(part) > 1:
                    stack += _halves(part)
                else:
                    batch.drop_spans(part, "too_large")
                    self._too_large.warning(
                        "%s dropped: %d bytes are more than OTLP allows", self._noun, len(part[0].payload)
                    )
                continue
            result = await self._export([span.payload for span in part])
            requests += 1
            if result.action is Action.SUCCESS:
                batch.accept_spans(part, result.rejected)
                self._on_accepted(len(part), result)
                is_any_accepted = True
            elif result.action in {Action.SPLIT, Action.DROP}:
                if result.action is Action.SPLIT and len(part) > 1:
                    stack += _halves(part)
                else:
                    refused.append((part, result))
                if not is_any_accepted and self._is_refusing() and requests >= _MAX_REFUSED_REQUESTS:
                    return result
            else:
                break
        if refused and not stack and not is_any_accepted:
            return refused[0][1]
        for part, answer in refused if is_any_accepted else ():
            batch.reject_spans(part)
            self._on_rejected(len(part), answer)
        return None


def _halves(spans: list[EncodedSpan]) -> list[list[EncodedSpan]]:
    middle = len(spans) // 2
    return [spans[middle:], spans[:middle]]
