"""Tells the time that the product took from the time that the machine took: a test must not fail for the second.

A bound on the clock is a promise of the product for a machine on which it gets to run. On one that is shared, this
process or the sidecar may wait for a core for seconds; that is measured here, and taken off what a test measures.
"""

from __future__ import annotations

import time
from functools import cache

from load.heartbeat import Heartbeat
from load.process_figures import waited_seconds

__all__ = ["Stopwatch", "heartbeat"]


@cache
def heartbeat() -> Heartbeat:
    """Return that of this process."""
    return Heartbeat()


class Stopwatch:
    """Measures, from its making on, the seconds in which the product could run.

    Args:
        pid: the process whose waiting for a core is not counted either; its main thread's, as that has the loop.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._heartbeat = heartbeat()
        self._waited = waited_seconds(pid)
        self._begun = time.monotonic()

    def read(self) -> float:
        """Return the seconds so far."""
        now = time.monotonic()
        waited = waited_seconds(self._pid) - self._waited
        return max(0.0, now - self._begun - self._heartbeat.missed(self._begun, now) - waited)
