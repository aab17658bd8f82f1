"""Divide an entry's budget among the processes and rules that ask for it.

The sidecar sees every request's record, kept or not, so it alone knows who has how much traffic. What it
hands out never exceeds the budget; each process sees to it that it spends no more than its share
(sampling/token_bucket.py). Three things come together in a tick:

- What is kept without being asked, for a caller that sampled or for what the response was, is taken off
  first; the rest has a twentieth of the budget left at the least.
- What was kept too much or too little over the last seconds is repaid over the next ones, so that the
  average holds in spite of chance and of what was known late.
- The rest is divided by water-filling: a stream (an entry's rule) that asks for little gets it whole, the
  others the same each, and in each stream by the processes' traffic.

Pure: counts and a clock's readings in, shares out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from otlp_tracing.config.settings import Sampling
from otlp_tracing.sampling.token_bucket import SAVED_SECONDS

__all__ = ["Budget", "water_fill"]

# Half of a change is known after 1.4 s: soon beside the five seconds that a process saves, slow beside chance.
_MEMORY_SECONDS = 2.0
# Longer than most requests take, since what was kept is known at their end; else repaying would swing.
_REPAY_SECONDS = 5.0
# Chance is evened out slowly: a twelfth of the budget more or less at the most.
_EVEN_SECONDS = 30.0
_OWED_SECONDS = 10.0  # no longer is repaid for what nobody could prevent, such as a storm of errors
_LEAST_SAVED = 12.0  # traces; what chance moves in half a minute with a trace a second, which must not be lost
_LEAST = 0.05  # of the budget; so that there is something to count by, whatever callers and errors take
_UNASKED = 0.1  # of a share; divided evenly, for processes whose traffic is not known yet
_CHANCE = 1.5  # times the mean; so much traffic that comes by chance needs at times
_FORGOTTEN = 1e-3  # requests/s; less traffic is none


@dataclass(slots=True)
class _Pace:
    """Events per second over the last seconds."""

    per_second: float = 0.0
    _pending: float = 0.0

    def add(self, amount: float = 1.0) -> None:
        self._pending += amount

    def tick(self, seconds: float) -> None:
        weight = 1 - math.exp(-seconds / _MEMORY_SECONDS)
        self.per_second += weight * (self._pending / seconds - self.per_second)
        self._pending = 0.0


@dataclass(slots=True)
class _Stream:
    rate: float
    asked: dict[bytes, _Pace] = field(default_factory=dict)
    probability: _Pace = field(default_factory=_Pace)  # the sum of the requests'

    def per_second(self, processes: Sequence[bytes]) -> float:
        return sum(self.asked[process].per_second for process in processes if process in self.asked)


class Budget:
    """One entry's. Without a bound it only measures.

    Args:
        sampling: the entry's settings.
        now: monotonic seconds.
    """

    def __init__(self, sampling: Sampling, now: float) -> None:
        self.traces_per_second = sampling.budget.traces_per_second
        self._streams = {name: _Stream(rate) for name, rate in sampling.streams.items()}
        self._kept, self._unasked = _Pace(), _Pace()
        self._saved = max(SAVED_SECONDS * self.traces_per_second, _LEAST_SAVED)
        self.start_even()
        self.measured_at = now
        """When the last tick was."""

    def start_even(self) -> None:
        """Owe nothing for what was kept until now, and take it that processes have saved half of what they can."""
        self._owed = -self._saved / 2
        self._kept_since = 0

    @property
    def kept_per_second(self) -> float:
        """Traces kept per second, for whatever reason."""
        return self._kept.per_second

    def decided(self, process: bytes, stream: str, probability: float, kept: bool) -> None:
        """Count a request that a process decided by probability.

        Args:
            process: who; one that is not told its share must not be counted here.
            stream: name of the rule, empty for the entry's own rate.
            probability: that it had.
            kept: by that decision.
        """
        known = self._streams.get(stream) or self._streams[""]
        known.asked.setdefault(process, _Pace()).add()
        known.probability.add(probability)
        if kept:
            self._count()

    def kept_unasked(self) -> None:
        """Count a trace that is kept whatever the budget."""
        self._unasked.add()
        self._count()

    def probability(self, stream: str) -> float | None:
        """Return the mean probability of a stream's requests over the last seconds; None where there were none."""
        known = self._streams[stream]
        asked = sum(pace.per_second for pace in known.asked.values())
        return min(known.probability.per_second / asked, 1.0) if asked > _FORGOTTEN else None

    def mean(self) -> tuple[float, float, float]:
        """Return requests per second, what their configured rates would keep of them, and what is kept."""
        paces = [(stream, sum(pace.per_second for pace in stream.asked.values())) for stream in self._streams.values()]
        asked = sum(pace for _, pace in paces)
        if asked < _FORGOTTEN:
            return 0.0, 0.0, 0.0
        wanted = sum(pace * stream.rate for stream, pace in paces)
        return asked, wanted, sum(stream.probability.per_second for stream, _ in paces)

    def asking(self) -> set[bytes]:
        """Return the processes that had requests to decide about in the last seconds."""
        return {
            process
            for stream in self._streams.values()
            for process, pace in stream.asked.items()
            if pace.per_second > _FORGOTTEN
        }

    def tick(self, now: float, processes: Sequence[bytes], load: float) -> Mapping[bytes, list[float]]:
        """Close the time since the last tick and divide the budget anew.

        Args:
            now: later than the tick before.
            processes: those that can be told a share.
            load: factor on the configured rates.

        Returns:
            Shares in traces per second, by process and in the order of the streams; empty without a budget.
        """
        self._measure(now, processes)
        if not self.traces_per_second or not processes:
            return {}
        streams = list(self._streams.values())
        shares = self._divide(streams, processes, load)
        return {
            process: [share * _part(stream, process, processes) for stream, share in zip(streams, shares, strict=True)]
            for process in processes
        }

    def _divide(self, streams: Sequence[_Stream], processes: Sequence[bytes], load: float) -> list[float]:
        supply = self._available()
        asked = [one.per_second(processes) * one.rate * load for one in streams]
        shares = water_fill([_CHANCE * amount for amount in asked], supply)
        # What nobody asks for is handed out all the same: it is there when somebody does, before the next tick.
        spare = max(supply - sum(shares), 0.0) / max(sum(1 for one in streams if one.rate), 1)
        return [share + (spare if one.rate else 0.0) for one, share in zip(streams, shares, strict=True)]

    def _available(self) -> float:
        budget = self.traces_per_second
        # What is saved is the processes' to spend; half of it is where steady traffic is led to.
        saved_too_little = min(self._owed, 0.0) + self._saved / 2
        repaid = saved_too_little / _EVEN_SECONDS + max(self._owed, 0.0) / _REPAY_SECONDS
        return max(budget - self._unasked.per_second - repaid, _LEAST * budget)

    def _measure(self, now: float, processes: Sequence[bytes]) -> None:
        seconds, self.measured_at = max(now - self.measured_at, 1e-3), now
        budget = self.traces_per_second
        owed = self._owed + self._kept_since - budget * seconds
        self._owed = min(max(owed, -self._saved), _OWED_SECONDS * budget)
        self._kept_since = 0
        self._kept.tick(seconds)
        self._unasked.tick(seconds)
        for stream in self._streams.values():
            stream.probability.tick(seconds)
            for process, pace in list(stream.asked.items()):
                pace.tick(seconds)
                if process not in processes and pace.per_second < _FORGOTTEN:
                    del stream.asked[process]

    def _count(self) -> None:
        self._kept.add()
        self._kept_since += 1


def _part(stream: _Stream, process: bytes, processes: Sequence[bytes]) -> float:
    """Return a process's part of a stream's share: by traffic, and a little for everyone."""
    even = 1 / len(processes)
    traffic = stream.per_second(processes)
    if traffic < _FORGOTTEN:
        return even
    own = stream.asked[process].per_second if process in stream.asked else 0.0
    return _UNASKED * even + (1 - _UNASKED) * own / traffic


def water_fill(demands: Sequence[float], supply: float) -> list[float]:
    """Divide a supply: nobody gets more than asked for; those who get less all get the same, the most there is.

    Args:
        demands: 0 or more each.
        supply: 0 or more.

    Returns:
        What each gets; together the supply, or the demands where that is less.
    """
    given = [0.0] * len(demands)
    for done, index in enumerate(sorted(range(len(demands)), key=demands.__getitem__)):
        given[index] = min(demands[index], supply / (len(demands) - done))
        supply -= given[index]
    return given
