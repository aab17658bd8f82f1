"""Tells the time that the product took from the time that the machine took: a test must not fail for the second.

A bound on the clock is a promise of the product for a machine on which it gets to run. On one that is shared, this
process or the sidecar may wait for a core for seconds; that is measured here, and taken off what a test measures.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import cache

from e2e.waiting import wait_for
from load.process_figures import waited_seconds

__all__ = ["Stopwatch", "Witness", "witness"]

_INTERVAL_SECONDS = 0.01
_MAX_STALLS = 100_000  # kept: a soak of a day has fewer
_AWAKE_SECONDS = 60.0


class Witness:
    """A thread that wants to run a hundred times a second, and writes down when it could not.

    It needs what every other thread of this process needs, a core and Python's lock, so that it stands still when
    they do. A thread that blocks in the kernel has neither, and does not hold it up.
    """

    def __init__(self) -> None:
        self._stalls: deque[tuple[float, float]] = deque(maxlen=_MAX_STALLS)
        self._awake_at = time.monotonic()
        threading.Thread(target=self._run, name="witness of stalls", daemon=True).start()

    def stalled(self, begun: float, ended: float) -> float:
        """Return for how many seconds between two moments (monotonic) this process did not get to run."""
        wait_for(lambda: self._awake_at > ended, _AWAKE_SECONDS, "the witness wakes up")
        return sum(max(0.0, min(until, ended) - max(since, begun)) for since, until in tuple(self._stalls))

    def _run(self) -> None:
        while True:
            due = time.monotonic() + _INTERVAL_SECONDS
            time.sleep(_INTERVAL_SECONDS)
            now = time.monotonic()
            if now > due + _INTERVAL_SECONDS:
                self._stalls.append((due, now))
            self._awake_at = now


@cache
def witness() -> Witness:
    """Return the witness of this process."""
    return Witness()


class Stopwatch:
    """Measures, from its making on, the seconds in which the product could run.

    Args:
        pid: the process whose waiting for a core is not counted either; its main thread's, as that has the loop.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._witness = witness()
        self._waited = waited_seconds(pid)
        self._begun = time.monotonic()

    def read(self) -> float:
        """Return the seconds so far."""
        now = time.monotonic()
        waited = waited_seconds(self._pid) - self._waited
        return max(0.0, now - self._begun - self._witness.stalled(self._begun, now) - waited)
