"""Tell the gateway's processes at which rates they may keep traces.

Knows every plugin entry whose rates move, what was decided for its requests, and the processes that can be
told; budget.py and load_factor.py say what they are told. A process that is not told anything goes on with
what it was told last. No socket, no clock of its own: `tick` is called twice a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from otlp_tracing.config.settings import Sampling
from otlp_tracing.context import RequestContext
from otlp_tracing.handoff.frames import Rates, encode
from otlp_tracing.metrics import (
    CPU_LOAD,
    SAMPLING_BUDGET,
    SAMPLING_FACTOR,
    SAMPLING_PROBABILITY,
    SAMPLING_TRACES,
)
from otlp_tracing.sampling.token_bucket import Allowance
from otlp_tracing.sidecar.tail.budget import Budget
from otlp_tracing.sidecar.tail.load_factor import PERIOD_SECONDS, LoadFactor
from otlp_tracing.sidecar.telemetry.registry import Metrics

__all__ = ["OWN", "TICK_SECONDS", "Link", "RateKeeper"]

TICK_SECONDS = 0.5
"""How often rates are set: some times within what a process saves for itself (sampling/token_bucket.py)."""

OWN = b""
"""The sidecar as one of the processes: it decides about requests that `access` never saw."""

# A sidecar that was started again learns first who has how much traffic; the processes go on as before.
_LEARN_SECONDS = 2.0
_IDLE_SECONDS = 300.0  # an entry without requests for so long is shown no more: mostly it is configured no more


@dataclass(eq=False, slots=True)
class Link:
    """A connection to one process of the gateway.

    Args:
        process: the 8 bytes that it named itself with.
        send: takes bytes for it, and never blocks.
    """

    process: bytes
    send: Callable[[bytes], None]
    told: dict[bytes, bytes | None] = field(default_factory=dict)  # by entry: the last frame


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


class RateKeeper:
    """Rates of all entries.

    Args:
        metrics: where they are shown.
        clock: monotonic seconds.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._clock = clock
        self._entries: dict[bytes, _Entry] = {}
        self._links: dict[bytes, Link] = {}
        self._cpu: float | None = None
        self._cpu_at = clock()

    def configure(self, key: bytes, name: str, sampling: Sampling) -> Allowance | None:
        """Take an entry over whose rates may move, and return what the sidecar itself may keep of it.

        Args:
            key: settings.settings_key of the entry.
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
        """Let go of an entry that is configured no more."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._show_no_more(entry)

    def connect(self, link: Link) -> None:
        """Take a process in that understands Rates; a new connection replaces its old one."""
        self._links[link.process] = link

    def announce(self, link: Link, key: bytes) -> None:
        """A process has requests of an entry."""
        link.told.setdefault(key, None)

    def disconnect(self, link: Link) -> None:
        """The connection is gone; what the process had is divided anew."""
        if self._links.get(link.process) is link:
            del self._links[link.process]

    def observe(self, key: bytes, process: bytes, context: RequestContext, kept: bool) -> None:
        """Count one request.

        Args:
            key: of its entry; one whose rates do not move is passed over.
            process: that decided, OWN for the sidecar.
            context: what was decided.
            kept: in the end.
        """
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.seen_at = self._clock()
        can_be_told = process == OWN or process in self._links
        if context.probability is not None and can_be_told:
            entry.budget.decided(process, context.rule, context.probability, context.sampled)
            kept = kept and not context.sampled
        if kept:
            entry.budget.kept_unasked()

    def tick(self, cpu: Callable[[], float | None]) -> None:
        """Set the rates anew, and tell and show them.

        Args:
            cpu: measures the load since it was last asked, 0 to 1; None if it cannot.
        """
        now = self._clock()
        looked = self._look(now, cpu)
        for entry in self._entries.values():
            if now - entry.seen_at >= _IDLE_SECONDS:
                self._show_no_more(entry)
        for key, entry in self._entries.items():
            if now - entry.seen_at < _IDLE_SECONDS:
                if looked and self._cpu is not None:
                    entry.load.observe(self._cpu)
                self._set(key, entry, now)
                self._show(entry)

    def report(self) -> list[Mapping[str, object]]:
        """Return what is set for every entry, for a person."""
        now = self._clock()
        return [_report(entry) for entry in self._entries.values() if now - entry.seen_at < _IDLE_SECONDS]

    @property
    def cpu(self) -> float | None:
        """The CPU's load at the last look, 0 to 1; None if it is not known."""
        return self._cpu

    def _look(self, now: float, cpu: Callable[[], float | None]) -> bool:
        if now - self._cpu_at < PERIOD_SECONDS:
            return False
        self._cpu, self._cpu_at = cpu(), now
        if self._cpu is not None:
            self._metrics.set(CPU_LOAD, self._cpu)
        return True

    def _set(self, key: bytes, entry: _Entry, now: float) -> None:
        processes = [process for process, link in self._links.items() if key in link.told]
        if OWN in entry.budget.asking():
            processes.append(OWN)
        shares = entry.budget.tick(now, processes, entry.load.value)
        if now - entry.known_at < _LEARN_SECONDS:
            # What comes first are records that waited for this sidecar: they were kept before.
            entry.budget.start_even()
            return
        for process in processes:
            self._tell(process, Rates(key, entry.load.value, _rounded(shares.get(process, ()))), entry)

    def _tell(self, process: bytes, rates: Rates, entry: _Entry) -> None:
        if process == OWN:
            entry.own.set(rates.load, rates.shares)
            return
        link, frame = self._links[process], encode(rates)
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

    def _show_no_more(self, entry: _Entry) -> None:
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
    # Three digits: a process is told of what changes, not of every tick.
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
        "processes": len(entry.budget.asking() - {OWN}),
        "kept_per_second": round(entry.budget.kept_per_second, 3),
        "budget_factor": _budget_factor(wanted * load, expected),
        "load_factor": load,
        "probability": probability(*own),
        "rules": {name: probability(name, rate) for name, rate in rules},
    }
