"""How long this process did not run, though it wanted to: on a machine that is busy, or was paused."""

from __future__ import annotations

import threading
import time
from collections import deque

_BEAT_SECONDS = 0.01
_MISSED_SECONDS = 0.02  # between two beats; less is any scheduler's
_REMEMBERED = 10_000  # gaps; only the last minutes are asked for


class Heartbeat:
    """A thread that wakes a hundred times a second, and remembers when it could not.

    A client that is not running reads an answer late that came in time. This thread measures the client's own time
    alone. It needs the same two things as every other thread of the process, a core and Python's lock, and stops when
    they are missing. A thread that blocks in the kernel has neither and leaves no gap. Nor does a server that stops.
    """

    def __init__(self) -> None:
        self._gaps: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self._last = time.monotonic()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def missed(self, begin: float, end: float) -> float:
        """Return for how many seconds of an interval there was no beat; its ends are of `time.monotonic`."""
        # Read in this order: the gap that ends just now may be remembered meanwhile, and then counts once.
        gaps = {self._last: end}
        gaps.update(self._gaps)
        return sum(
            max(0.0, min(until, end) - max(since, begin))
            for since, until in gaps.items()
            if until - since > _MISSED_SECONDS
        )

    def _beat(self) -> None:
        while True:
            time.sleep(_BEAT_SECONDS)
            now = time.monotonic()
            if now - self._last > _MISSED_SECONDS:
                self._gaps.append((self._last, now))
            self._last = now
