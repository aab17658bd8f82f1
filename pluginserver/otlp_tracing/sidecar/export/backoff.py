"""When the next attempt may start: exponential backoff with jitter, or the delay that the collector asks for.

Source: OpenTelemetry specification, protocol/exporter.md, "Retry"; opentelemetry-proto, "OTLP/gRPC Throttling".
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

_FIRST_SECONDS = 1.0
_FACTOR = 1.6
_LONGEST_SECONDS = 10.0  # an attempt in ten seconds costs little, and a collector that is back is found soon
_HOLD_SECONDS = 30.0  # a key or an endpoint that was refused is not accepted a moment later
_JITTER = 0.2  # gateways that lost a collector at the same time must not return at the same time


class RetryBackoff:
    """The state of one destination: working, or failing since a time and for a reason.

    Args:
        clock: monotonic seconds.
        spread: returns a random number between 0 and 1.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, spread: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._spread = spread
        self._failures = 0
        self._next_at = 0.0
        self.failing_since: float | None = None  # by the clock; None after an attempt that was answered
        self.reason = ""
        self.held = ""  # why every attempt will fail until a person changes something; empty if it may recover

    def delay(self) -> float:
        """Return the seconds until an attempt may start, 0 for now."""
        return max(self._next_at - self._clock(), 0.0)

    def record_success(self) -> None:
        """Record an attempt that was answered."""
        self._failures, self._next_at = 0, 0.0
        self.failing_since, self.reason, self.held = None, "", ""

    def record_failure(self, reason: str, delay_s: float | None = None, *, hold: str = "") -> None:
        """Record an attempt that failed.

        Args:
            reason: a few words.
            delay_s: the delay that the collector asks for.
            hold: one word for the reason if a person must change something, see `held`.
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
            # Never earlier than the collector asks for.
            delay_s *= 1 + _JITTER / 2 * self._spread()
        self._failures = min(self._failures + 1, 64)
        self._next_at = max(self._next_at, now + delay_s)

    def retry_now(self) -> None:
        """Allow an attempt now, because something has changed that may help."""
        self._next_at = 0.0
