"""The rates of one plugin entry in one process, lowered by load and by a budget.

A budget is a stream of credit, some traces per second. The sidecar divides it among the processes and, in each, among
the entry's rules. A request takes a part of the remaining credit, as the probability at which it is kept:

    probability = min(rate, credit / step)        credit = credit - probability

Under a steady load of n requests per second, spending settles at the rate of the income, at share / n. The more
requests there are, the sooner. In any period no more is spent than the shares gave in it and was saved before it,
whatever the load does. The probability is fixed before the request's randomness is read, and is never 0 for a rate
above 0. So a trace represents 1 / probability requests. It falls by at most one part in `step` from a request to the
next.

Pure but for the clock. The sidecar's part is in sidecar/tail/budget.py, the reasons in docs/decisions/.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otlp_tracing.config.settings import Sampling

SAVED_SECONDS = 5.0
"""For so long unused credit is saved: a minute spends 65 seconds' worth at the most."""

_LEAST_STEP = 2.0  # a request takes at most half of the remaining credit, however small the share
_LEAST_SAVED = 2.0  # traces; so that a process with a small share keeps its first requests at their rate
# Of a million requests at a budget's end one is kept; a threshold that nothing reaches would make counts untrue.
_LEAST_PROBABILITY = 1e-6


@dataclass(slots=True)
class _Credit:
    share: float
    left: float
    at: float

    def take(self, wanted: float, now: float) -> float:
        saved = max(self.share * SAVED_SECONDS, _LEAST_SAVED)
        step = max(saved / 2, _LEAST_STEP)
        left = min(saved, self.left + self.share * max(now - self.at, 0.0))
        taken = min(wanted, max(left / step, _LEAST_PROBABILITY))
        self.left, self.at = max(left - taken, 0.0), now
        return taken


class Allowance:
    """The lowered rates of one entry in one process.

    Until the sidecar has said more, the process takes itself for one of as many as there are processors.

    Args:
        sampling: the entry's settings.
        clock: monotonic seconds.
        processes: that may share the budget; None means as many as processors.
    """

    def __init__(self, sampling: Sampling, clock: Callable[[], float], processes: int | None = None) -> None:
        self._clock = clock
        self._load = 1.0
        self._credits: dict[str, _Credit] = {}
        budget, streams = sampling.budget.traces_per_second, sampling.streams
        if budget:
            share = budget / (processes or len(os.sched_getaffinity(0))) / len(streams)
            first = max(share * SAVED_SECONDS, _LEAST_SAVED) / 2
            self._credits = {name: _Credit(share, first, clock()) for name in streams}

    def take(self, stream: str, rate: float) -> tuple[float, str]:
        """Return the probability for one request, and the reason if it is lower than its rate.

        Args:
            stream: name of the rule that matched, empty for the entry's own rate.
            rate: as configured, 0 to 1.

        Returns:
            Up to `rate`; above 0 if that is. And budget, load, or empty if the rate is unchanged.
        """
        wanted = rate * self._load
        cause = "load" if wanted < rate else ""
        if not self._credits:
            return wanted, cause
        credit = self._credits.get(stream) or self._credits[""]
        taken = credit.take(wanted, self._clock())
        return taken, "budget" if taken < wanted else cause

    def set(self, load: float, shares: Sequence[float]) -> None:
        """Apply the sidecar's factors and shares.

        Args:
            load: factor on every rate, above 0 and up to 1.
            shares: traces per second, in the order of settings.Sampling.streams; others are passed over.
        """
        self._load = load
        if len(shares) == len(self._credits):
            now = self._clock()
            for credit, share in zip(self._credits.values(), shares, strict=True):
                credit.take(0.0, now)  # the income until now came at the previous share
                credit.share = share
