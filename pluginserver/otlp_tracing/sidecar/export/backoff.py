"""When the next attempt may start: exponential backoff with jitter, and what the collector asks for.

Source: OpenTelemetry specification, protocol/exporter.md, "Retry"; opentelemetry-proto, "OTLP/gRPC Throttling".
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

_FIRST_SECONDS = 1.0
_FACTOR = 1.6
_LONGEST_SECONDS = 10.0  # one attempt in ten seconds costs nobody anything, and a collector that is back is found soon
_HOLD_SECONDS = 30.0  # a key that is refused is not good a moment later
_JITTER = 0.2  # so that gateways which lost a collector together do not come back together


class RetryBackoff:
    """The state of one destination: well, or failing since and why.

    Args:
        clock: monotonic seconds.
        spread: a number between 0 and 1, by chance.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, spread: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._spread = spread
        self._failures = 0
        self._next_at = 0.0
        self.failing_since: float | None = None
        self.reason = ""
        self.held = False

    @property
    def is_failing(self) -> bool:
        """Tell whether the last attempt failed."""
        return self.failing_since is not None

    def delay(self) -> float:
        """Return the seconds until an attempt may start, 0 for at once."""
        return max(self._next_at - self._clock(), 0.0)

    def succeed(self) -> None:
        """An attempt was answered."""
        self._failures, self._next_at = 0, 0.0
        self.failing_since, self.reason, self.held = None, "", False

    def fail(self, reason: str, delay_s: float | None = None, *, hold: bool = False) -> None:
        """An attempt failed.

        Args:
            reason: a few words.
            delay_s: what the collector asked for.
            hold: it lets nobody in who comes with this key.
        """
        now = self._clock()
        if self.failing_since is None:
            self.failing_since = now
        self.reason, self.held = reason, hold
        if delay_s is None and self._next_at > now:
            return  # one of several requests that failed together
        if delay_s is None:
            backoff = min(_FIRST_SECONDS * _FACTOR**self._failures, _LONGEST_SECONDS)
            delay_s = (_HOLD_SECONDS if hold else backoff) * (1 - _JITTER + 2 * _JITTER * self._spread())
        else:
            # Not before the collector asked for it.
            delay_s *= 1 + _JITTER / 2 * self._spread()
        self._failures = min(self._failures + 1, 64)
        self._next_at = max(self._next_at, now + delay_s)

    def try_now(self) -> None:
        """Something changed that may help: do not wait any longer."""
        self._next_at = 0.0
