"""Sends the workers of the plugin server the rates at which they may keep traces.

Knows every plugin entry with moving rates, the decisions for its requests, and the connected workers. budget.py and
load_factor.py compute the rates. A worker that gets no new rates keeps its last ones. It has no socket and no clock of
its own: `tick` is called twice a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from otlp_tracing.config.settings import Sampling
from otlp_tracing.handoff.frames import POLICY_SINCE, Rates, encode
from otlp_tracing.metrics import (
    CPU_LOAD,
    SAMPLING_BUDGET,
    SAMPLING_FACTOR,
    SAMPLING_PROBABILITY,
    SAMPLING_TRACES,
)
from otlp_tracing.sampling.token_bucket import Allowance
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink
from otlp_tracing.sidecar.outcome import RequestOutcome
from otlp_tracing.sidecar.tail.budget import Budget
from otlp_tracing.sidecar.tail.load_factor import PERIOD_SECONDS, LoadFactor
from otlp_tracing.sidecar.telemetry.registry import Metrics

TICK_SECONDS = 0.5
"""Seconds between two computations of the rates; a token bucket saves more than that (sampling/token_bucket.py)."""

LOCAL = b""
"""The worker id of the sidecar itself, which decides for requests that `access` never saw."""

# A restarted sidecar first learns which worker has how much traffic; until then the workers keep their rates.
_LEARN_SECONDS = 2.0
_IDLE_SECONDS = 300.0  # an entry without requests for so long is no longer shown: mostly it is no longer configured


@dataclass(slots=True)
class _Entry:
    name: str
    sampling: Sampling
    budget: Budget
    load: LoadFactor
    own: Allowance
    known_at: float
    seen_at: float
    is_shown: bool = False


class SamplingController:
    """Rates of all entries.

    Args:
        metrics: where they are shown.
        clock: monotonic seconds.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._clock = clock
        self._entries: dict[bytes, _Entry] = {}
        self._links: dict[bytes, WorkerLink] = {}
        self._policy: bytes | None = None
        self._cpu: float | None = None
        self._cpu_at = clock()

    def configure(self, key: bytes, name: str, sampling: Sampling) -> Allowance | None:
        """Add an entry; return the token bucket of the sidecar itself, None if the rates of the entry do not move.

        Args:
            key: entry_identity.settings_key of the entry.
            name: shown on /metrics.
            sampling: its settings.
        """
        if not sampling.moves:
            return None
        now = self._clock()
        own = Allowance(sampling, self._clock)
        load, budget = LoadFactor(sampling.load), Budget(sampling, now)
        self._entries[key] = _Entry(name or key.hex(), sampling, budget, load, own, known_at=now, seen_at=now)
        return own

    def forget(self, key: bytes) -> None:
        """Remove an entry that is no longer configured."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._hide(entry)

    def connect(self, link: WorkerLink) -> None:
        """Add a worker that understands Rates; a new connection replaces its old one."""
        self._links[link.worker_id] = link
        self._send_policy(link)

    def send_policy(self, frame: bytes) -> None:
        """Send a Policy to all workers, and to each that connects later."""
        self._policy = frame
        for link in self._links.values():
            self._send_policy(link)

    def announce(self, link: WorkerLink, key: bytes) -> None:
        """Remember that a worker has requests of an entry, so that it is sent the rates of that entry."""
        link.told.setdefault(key, None)

    def disconnect(self, link: WorkerLink) -> None:
        """Remove a closed connection; its share is divided among the other workers."""
        if self._links.get(link.worker_id) is link:
            del self._links[link.worker_id]

    def observe(self, outcome: RequestOutcome) -> None:
        """Count one request; an entry with fixed rates is skipped."""
        entry = self._entries.get(outcome.entry_key)
        if entry is None:
            return
        entry.seen_at = self._clock()
        context, worker_id, kept = outcome.context, outcome.worker_id, outcome.is_kept
        can_be_told = worker_id == LOCAL or worker_id in self._links
        if context.probability is not None and can_be_told:
            entry.budget.decided(worker_id, context.rule, context.probability, context.sampled and kept)
            kept = kept and not context.sampled
        if kept:
            entry.budget.kept_unasked()

    def tick(self, cpu: Callable[[], float | None]) -> None:
        """Compute the rates, send and show them.

        Args:
            cpu: measures the load since it was last asked, 0 to 1; None if it cannot.
        """
        now = self._clock()
        measured = self._measure_cpu(now, cpu)
        for entry in self._entries.values():
            if now - entry.seen_at >= _IDLE_SECONDS:
                self._hide(entry)
        for key, entry in self._entries.items():
            if now - entry.seen_at < _IDLE_SECONDS:
                if measured and self._cpu is not None:
                    entry.load.observe(self._cpu)
                self._set(key, entry, now)
                self._show(entry)

    def report(self) -> list[Mapping[str, object]]:
        """Return the rates of every entry, for a person."""
        now = self._clock()
        return [_report(entry) for entry in self._entries.values() if now - entry.seen_at < _IDLE_SECONDS]

    @property
    def cpu(self) -> float | None:
        """The CPU's load at the last look, 0 to 1; None if it is not known."""
        return self._cpu

    def _measure_cpu(self, now: float, cpu: Callable[[], float | None]) -> bool:
        if now - self._cpu_at < PERIOD_SECONDS:
            return False
        self._cpu, self._cpu_at = cpu(), now
        if self._cpu is not None:
            self._metrics.set(CPU_LOAD, self._cpu)
        return True

    def _set(self, key: bytes, entry: _Entry, now: float) -> None:
        workers = [worker_id for worker_id, link in self._links.items() if key in link.told]
        if LOCAL in entry.budget.asking():
            workers.append(LOCAL)
        shares = entry.budget.tick(now, workers, entry.load.value)
        if now - entry.known_at < _LEARN_SECONDS:
            # The first records are those that waited for this sidecar: they were decided before.
            entry.budget.start_even()
            return
        for worker_id in workers:
            self._send(worker_id, Rates(key, entry.load.value, _rounded(shares.get(worker_id, ()))), entry)

    def _send_policy(self, link: WorkerLink) -> None:
        if self._policy is not None and link.version >= POLICY_SINCE:
            link.send(self._policy)

    def _send(self, worker_id: bytes, rates: Rates, entry: _Entry) -> None:
        if worker_id == LOCAL:
            entry.own.set(rates.load, rates.shares)
            return
        link, frame = self._links[worker_id], encode(rates)
        if link.told[rates.key] != frame:
            link.told[rates.key] = frame
            link.send(frame)

    def _show(self, entry: _Entry) -> None:
        asked, wanted, expected = entry.budget.mean()
        load, entry.is_shown = entry.load.value, True
        probability = expected / asked if asked else entry.sampling.rate * load
        self._metrics.set(SAMPLING_PROBABILITY, probability, entry.name)
        self._metrics.set(SAMPLING_FACTOR, _budget_factor(wanted * load, expected), entry.name, "budget")
        self._metrics.set(SAMPLING_FACTOR, load, entry.name, "load")
        self._metrics.set(SAMPLING_BUDGET, entry.budget.traces_per_second, entry.name)
        self._metrics.set(SAMPLING_TRACES, entry.budget.kept_per_second, entry.name)

    def _hide(self, entry: _Entry) -> None:
        if not entry.is_shown:
            return
        entry.is_shown = False
        for metric in (SAMPLING_PROBABILITY, SAMPLING_BUDGET, SAMPLING_TRACES):
            self._metrics.forget(metric, entry.name)
        for cause in ("budget", "load"):
            self._metrics.forget(SAMPLING_FACTOR, entry.name, cause)


def _budget_factor(wanted: float, expected: float) -> float:
    return min(expected / wanted, 1.0) if wanted > 0 else 1.0


def _rounded(shares: Sequence[float]) -> list[float]:
    # Three digits: a worker gets changes, not every tick.
    return [float(f"{share:.3g}") for share in shares]


def _report(entry: _Entry) -> Mapping[str, object]:
    _, wanted, expected = entry.budget.mean()
    load = entry.load.value

    def probability(name: str, rate: float) -> float:
        now = entry.budget.probability(name)
        return rate * load if now is None else now

    own, *rules = entry.sampling.streams.items()
    return {
        "entry": entry.name,
        "budget_traces_per_second": entry.budget.traces_per_second or None,
        "processes": len(entry.budget.asking() - {LOCAL}),
        "kept_per_second": round(entry.budget.kept_per_second, 3),
        "budget_factor": _budget_factor(wanted * load, expected),
        "load_factor": load,
        "probability": probability(*own),
        "rules": {name: probability(name, rate) for name, rate in rules},
    }
