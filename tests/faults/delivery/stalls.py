"""Separates the product's time from the machine's: a test must not fail because the machine was busy.

A bound on the clock is a promise of the product for a machine on which it can run. On a shared machine this process or
the sidecar may wait for a core for seconds. That time is measured here, and subtracted from a test's measurement.
"""

from __future__ import annotations

import time
from functools import cache

from load.heartbeat import Heartbeat
from load.process_figures import waited_seconds


@cache
def heartbeat() -> Heartbeat:
    """Return that of this process."""
    return Heartbeat()


class Stopwatch:
    """Measures the seconds in which the product could run, from its creation on.

    Args:
        pid: the process; time in which its main thread, which has the loop, waits for a core is not counted either.
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
