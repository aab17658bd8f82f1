"""Divides an entry's budget among the workers and rules that have requests.

The sidecar sees every request's record, kept or not, so it alone knows the traffic of each worker. The shares never
exceed the budget, and each worker does not spend more than its share (sampling/token_bucket.py). A tick combines
three things:

- Traces kept regardless of the budget, for a caller that sampled or for the response, are subtracted first. At least
  a twentieth of the budget remains.
- A surplus or deficit of the last seconds is repaid over the next ones, so that the average holds in spite of chance
  and of late information.
- The rest is divided by water-filling: a stream (a rule of the entry) that needs little gets all it needs, the others
  get equal parts; within a stream the parts follow the workers' traffic.

Pure: counts and clock readings in, shares out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from otlp_tracing.config.settings import Sampling
from otlp_tracing.sampling.token_bucket import SAVED_SECONDS

# Half of a change is known after 1.4 s: early for the five seconds that a worker saves, slow enough for chance.
_MEMORY_SECONDS = 2.0
# Longer than most requests take, since a trace is known at its request's end; otherwise repaying would oscillate.
_REPAY_SECONDS = 5.0
# Chance is evened out slowly: by at most a twelfth of the budget.
_EVEN_SECONDS = 30.0
_OWED_SECONDS = 10.0  # bound on the debt from traces that no rate prevents, such as a burst of errors
_LEAST_SAVED = 12.0  # traces; as many as chance moves in half a minute at a trace a second
_LEAST = 0.05  # of the budget, so that the estimate has some traces, however many callers and errors take
_UNASKED = 0.1  # of a share; divided evenly, for workers without known traffic
_CHANCE = 1.5  # times the mean; random traffic needs that much at times
_FORGOTTEN = 1e-3  # requests/s; less counts as no traffic


@dataclass(slots=True)
class _RateMeter:
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
    asked: dict[bytes, _RateMeter] = field(default_factory=dict)
    probability: _RateMeter = field(default_factory=_RateMeter)  # the sum of the requests'

    def per_second(self, workers: Sequence[bytes]) -> float:
        return sum(self.asked[worker_id].per_second for worker_id in workers if worker_id in self.asked)


class Budget:
    """The budget of one entry. Without a bound it only measures.

    Args:
        sampling: the entry's settings.
        now: monotonic seconds.
    """

    def __init__(self, sampling: Sampling, now: float) -> None:
        self.traces_per_second = sampling.budget.traces_per_second
        self._streams = {name: _Stream(rate) for name, rate in sampling.streams.items()}
        self._kept, self._unasked = _RateMeter(), _RateMeter()
        self._saved = max(SAVED_SECONDS * self.traces_per_second, _LEAST_SAVED)
        self.start_even()
        self.measured_at = now
        """Monotonic seconds of the last tick."""

    def start_even(self) -> None:
        """Reset the debt, and assume that the workers have saved half of their maximum."""
        self._owed = -self._saved / 2
        self._kept_since = 0

    @property
    def kept_per_second(self) -> float:
        """Traces kept per second, for whatever reason."""
        return self._kept.per_second

    def decided(self, worker_id: bytes, stream: str, probability: float, kept: bool) -> None:
        """Count a request that a worker decided by probability.

        Args:
            worker_id: of that worker; a worker that gets no share must not be counted here.
            stream: name of the rule, empty for the entry's own rate.
            probability: of the decision.
            kept: the result of the decision.
        """
        known = self._streams.get(stream) or self._streams[""]
        known.asked.setdefault(worker_id, _RateMeter()).add()
        known.probability.add(probability)
        if kept:
            self._count()

    def kept_unasked(self) -> None:
        """Count a trace that is kept regardless of the budget."""
        self._unasked.add()
        self._count()

    def probability(self, stream: str) -> float | None:
        """Return the mean probability of a stream's requests over the last seconds; None without requests."""
        known = self._streams[stream]
        asked = sum(meter.per_second for meter in known.asked.values())
        return min(known.probability.per_second / asked, 1.0) if asked > _FORGOTTEN else None

    def mean(self) -> tuple[float, float, float]:
        """Return three rates per second: requests, traces by the configured rates, and traces by the current ones."""
        streams = self._streams.values()
        rates = [(one, sum(meter.per_second for meter in one.asked.values())) for one in streams]
        asked = sum(rate for _, rate in rates)
        if asked < _FORGOTTEN:
            return 0.0, 0.0, 0.0
        wanted = sum(rate * stream.rate for stream, rate in rates)
        return asked, wanted, sum(stream.probability.per_second for stream in streams)

    def asking(self) -> set[bytes]:
        """Return the ids of the workers that had requests to decide in the last seconds."""
        return {
            worker_id
            for stream in self._streams.values()
            for worker_id, meter in stream.asked.items()
            if meter.per_second > _FORGOTTEN
        }

    def tick(self, now: float, workers: Sequence[bytes], load: float) -> Mapping[bytes, list[float]]:
        """Account for the time since the last tick and divide the budget.

        Args:
            now: later than the tick before.
            workers: ids of those that can get a share.
            load: factor on the configured rates.

        Returns:
            Shares in traces per second, by worker id and in the order of the streams; empty without a budget.
        """
        self._measure(now, workers)
        if not self.traces_per_second or not workers:
            return {}
        streams = list(self._streams.values())
        shares = self._divide(streams, workers, load)
        return {
            worker: [share * _part(stream, worker, workers) for stream, share in zip(streams, shares, strict=True)]
            for worker in workers
        }

    def _divide(self, streams: Sequence[_Stream], workers: Sequence[bytes], load: float) -> list[float]:
        supply = self._available()
        asked = [one.per_second(workers) * one.rate * load for one in streams]
        shares = water_fill([_CHANCE * amount for amount in asked], supply)
        # Unclaimed budget is handed out as well, for requests that come before the next tick.
        spare = max(supply - sum(shares), 0.0) / max(sum(1 for one in streams if one.rate), 1)
        return [share + (spare if one.rate else 0.0) for one, share in zip(streams, shares, strict=True)]

    def _available(self) -> float:
        budget = self.traces_per_second
        # The workers may spend their savings; steady traffic is steered to half of the maximum.
        saved_too_little = min(self._owed, 0.0) + self._saved / 2
        repaid = saved_too_little / _EVEN_SECONDS + max(self._owed, 0.0) / _REPAY_SECONDS
        return max(budget - self._unasked.per_second - repaid, _LEAST * budget)

    def _measure(self, now: float, workers: Sequence[bytes]) -> None:
        seconds, self.measured_at = max(now - self.measured_at, 1e-3), now
        budget = self.traces_per_second
        owed = self._owed + self._kept_since - budget * seconds
        self._owed = min(max(owed, -self._saved), _OWED_SECONDS * budget)
        self._kept_since = 0
        self._kept.tick(seconds)
        self._unasked.tick(seconds)
        for stream in self._streams.values():
            stream.probability.tick(seconds)
            for worker_id, meter in list(stream.asked.items()):
                meter.tick(seconds)
                if worker_id not in workers and meter.per_second < _FORGOTTEN:
                    del stream.asked[worker_id]

    def _count(self) -> None:
        self._kept.add()
        self._kept_since += 1


def _part(stream: _Stream, worker_id: bytes, workers: Sequence[bytes]) -> float:
    """Return a worker's part of a stream's share: by traffic, and a little for every worker."""
    even = 1 / len(workers)
    traffic = stream.per_second(workers)
    if traffic < _FORGOTTEN:
        return even
    own = stream.asked[worker_id].per_second if worker_id in stream.asked else 0.0
    return _UNASKED * even + (1 - _UNASKED) * own / traffic


def water_fill(demands: Sequence[float], supply: float) -> list[float]:
    """Divide a supply: no demand gets more than it asks for; those that get less all get the same.

    Args:
        demands: 0 or more each.
        supply: 0 or more.

    Returns:
        The amount of each demand; together the supply, or the demands if that is less.
    """
    given = [0.0] * len(demands)
    for done, index in enumerate(sorted(range(len(demands)), key=demands.__getitem__)):
        given[index] = min(demands[index], supply / (len(demands) - done))
        supply -= given[index]
    return given
