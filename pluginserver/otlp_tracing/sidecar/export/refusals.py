"""Whether a collector refuses some spans or everything: batches of which it refused every span, in a row."""

from __future__ import annotations

import asyncio
import contextlib

from otlp_tracing.sidecar.export.result import ExportResult

# A collector that refuses every span of so many batches in a row refuses everything, whatever is in them.
_REFUSED_BATCHES = 3
_DECISION_SECONDS = 10.0  # a refused batch waits for the next ones before its spans count as rejected


class Refusals:
    """The refused batches since the collector last accepted a span."""

    def __init__(self) -> None:
        self.batches = 0
        self.reason = self.remedy = ""
        self._decision = asyncio.Event()  # set when a span is accepted, or the spans are held

    @property
    def is_everything(self) -> bool:
        """Tell whether the collector refuses everything."""
        return self.batches >= _REFUSED_BATCHES

    def add(self, refusal: ExportResult) -> None:
        """Count a batch of which every span was refused."""
        self.batches += 1
        self.reason = refusal.reason
        self.remedy = refusal.remedy or "the collector refuses every span: its own log may say why"

    def clear(self) -> None:
        """Forget the refusals, because a span was accepted."""
        if self.batches:
            self.batches, self.reason, self.remedy = 0, "", ""
            self.decide()

    def decide(self) -> None:
        """End the waits of the batches that were refused so far."""
        self._decision.set()
        self._decision = asyncio.Event()

    async def wait_for_decision(self) -> None:
        """Wait until it is known whether the collector refuses everything, or only the spans of one batch."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._decision.wait(), _DECISION_SECONDS)
