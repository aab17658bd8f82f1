"""A gateway's sampling in simulated time: real tracers, allowances, frames and controller, and doubles of the rest.

Requests come by chance (a Poisson process) at a rate that changes with time, each to one of several workers. The
record of each reaches the controller when the request has ended.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from doubles import ManualClock
from otlp_tracing.config.settings import Sampling, Settings
from otlp_tracing.context import RequestContext
from otlp_tracing.handoff.frames import Decoder, Rates
from otlp_tracing.sampling.head import RequestTracer
from otlp_tracing.sampling.rules import RequestLine
from otlp_tracing.sampling.token_bucket import Allowance
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink
from otlp_tracing.sidecar.tail.controller import TICK_SECONDS, SamplingController
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import outcome_of

KEY = b"k" * 16


@dataclass(frozen=True)
class Traffic:
    """Requests of one kind.

    Args:
        per_second: at a time in seconds from the start, never more than `most`.
        most: the highest rate there is.
        path: of the requests.
        headers: of the requests, anew for each.
        weights: how the workers share them; evenly if left out.
        seconds: that a request takes.
    """

    per_second: Callable[[float], float]
    most: float
    path: str = "/"
    headers: Callable[[random.Random], dict[str, list[str]]] = lambda _source: {}
    weights: Sequence[float] = ()
    seconds: float = 0.02


@dataclass
class Simulation:
    """One entry on `workers` processes.

    Args:
        sampling: the entry's settings.
        workers: how many processes.
        seed: of all chance.
        cpu: the machine's load at a time.
        sidecar_is_away: at a time.
        ids: where trace ids come from, `seed`'s chance if left out.
    """

    sampling: Sampling
    workers: int = 1
    seed: int = 1
    cpu: Callable[[float], float | None] = lambda _at: None
    sidecar_is_away: Callable[[float], bool] = lambda _at: False
    ids: Callable[[int], bytes] | None = None
    seen: list[tuple[float, str, RequestContext]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.began = self.clock.now
        self.metrics = Metrics()
        self.source = random.Random(self.seed)
        self.allowances = [
            Allowance(self.sampling, self.clock, processes=self.workers) if self.sampling.moves else None
            for _ in range(self.workers)
        ]
        self.tracers = [
            RequestTracer.from_settings(Settings(sampling=self.sampling), self.source.randbytes, allowance)
            for allowance in self.allowances
        ]
        self.start_sidecar()

    def start_sidecar(self) -> None:
        """Start a sidecar that knows nothing. The workers continue with their last rates."""
        self.rates = SamplingController(self.metrics, self.clock)
        self.rates.configure(KEY, "entry", self.sampling)
        self.links = [WorkerLink(b"%08d" % worker, self._receiver(worker)) for worker in range(self.workers)]
        for link in self.links:
            self.rates.connect(link)
            self.rates.announce(link, KEY)

    def run(self, seconds: float, *traffic: Traffic) -> None:
        """Let time pass."""
        events = sorted((at, number, which) for number, (at, which) in enumerate(self._arrivals(seconds, traffic)))
        ended: list[tuple[float, int, int, RequestContext]] = []
        start, tick_at = self.clock.now, self.clock.now + TICK_SECONDS
        for at, number, which in [*events, (start + seconds, -1, -1)]:
            while min(tick_at, ended[0][0] if ended else tick_at) <= at:
                if ended and ended[0][0] <= tick_at:
                    self._end(*heapq.heappop(ended))
                else:
                    self.clock.now, tick_at = tick_at, tick_at + TICK_SECONDS
                    if not self.sidecar_is_away(self.clock.now - self.began):
                        self.rates.tick(lambda: self.cpu(self.clock.now - self.began))
            self.clock.now = at
            if which >= 0:
                kind = traffic[which]
                (worker,) = self.source.choices(range(self.workers), kind.weights or None)
                line = RequestLine("GET", kind.path)
                context = self.tracers[worker].begin(kind.headers(self.source), lambda line=line: line)  # type: ignore[misc]
                self.seen.append((at - self.began, kind.path, context))
                heapq.heappush(ended, (at + kind.seconds, number, worker, context))

    def kept(self, since: float = 0.0, until: float = float("inf"), path: str | None = None) -> list[RequestContext]:
        """Return the decisions for the traces kept in a part of the time."""
        return [
            context
            for at, where, context in self.seen
            if since <= at < until and context.sampled and path in {None, where}
        ]

    def kept_in_windows(self, seconds: int) -> list[int]:
        """Return how many were kept in each window of so many seconds, one beginning every second."""
        last = int(self.clock.now - self.began)
        a_second = [0] * (last + 1)
        for at, _, context in self.seen:
            a_second[min(int(at), last)] += context.sampled
        return [sum(a_second[start : start + seconds]) for start in range(last - seconds + 1)]

    def _end(self, at: float, _number: int, worker: int, context: RequestContext) -> None:
        self.clock.now = at
        if not self.sidecar_is_away(at - self.began):
            self.rates.observe(outcome_of(context, entry=(KEY, ""), worker_id=self.links[worker].worker_id))

    def _receiver(self, worker: int) -> Callable[[bytes], None]:
        decoder = Decoder()

        def receive(data: bytes) -> None:
            for frame in decoder.feed(data):
                assert isinstance(frame, Rates)
                allowance = self.allowances[worker]
                assert allowance is not None
                allowance.set(frame.load, frame.shares)

        return receive

    def _arrivals(self, seconds: float, traffic: Sequence[Traffic]) -> list[tuple[float, int]]:
        found = []
        for which, kind in enumerate(traffic):
            at = self.clock.now
            while (at := at + self.source.expovariate(kind.most)) < self.clock.now + seconds:
                if self.source.random() * kind.most < kind.per_second(at - self.began):
                    found.append((at, which))
        return found
