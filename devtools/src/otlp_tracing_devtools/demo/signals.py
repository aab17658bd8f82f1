"""Signals that come while the demo's modules are still being imported.

An exception raised by a handler can get lost in the import machinery, so the first handler only takes a
note. Imports nothing that takes time.
"""

from __future__ import annotations

import signal
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EarlySignals:
    """Notes which signal came first, from its making until someone else handles them."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        for number in STOP_SIGNALS:
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.first = self.first or signal.Signals(number)
