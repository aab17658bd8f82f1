"""Per route: requests seen, traces kept and why, and an estimate of the requests from the kept traces alone.

The estimate is a check that anyone can make. A trace kept with probability p represents 1/p requests. So the sum over
the kept traces estimates the number of requests decided by probability, which the report counts as well.

Source for the estimate and its deviation: D. G. Horvitz and D. J. Thompson, 1952, for independent draws.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from otlp_tracing.metrics import ROUTE_REQUESTS
from otlp_tracing.sidecar.outcome import DROPPED_LATER, RequestOutcome
from otlp_tracing.sidecar.route_table import RouteKey, RouteTable
from otlp_tracing.sidecar.telemetry.registry import Metrics


@dataclass(slots=True)
class _Row:
    entry: str = ""
    seen: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    dropped_later: int = 0
    probability: float | None = None
    by_probability: int = 0
    estimate: float = 0.0
    variance: float = 0.0

    def count(self, outcome: RequestOutcome) -> None:
        self.entry = outcome.entry_name
        self.seen += 1
        probability = outcome.probability
        if probability is not None:
            self.probability = probability
            self.by_probability += 1
            if outcome.context.sampled and outcome.is_kept and probability > 0:
                self.estimate += 1 / probability
                self.variance += (1 - probability) / (probability * probability)
        self.dropped_later += outcome.decision == DROPPED_LATER
        if outcome.is_kept:
            self.kept[outcome.decision] += 1

    def report(self) -> Mapping[str, object]:
        return {
            "entry": self.entry,
            "seen": self.seen,
            "kept": self.kept.total(),
            "kept_by": dict(sorted(self.kept.items())),
            "dropped_later": self.dropped_later,
            "probability": self.probability,
            "decided_by_probability": self.by_probability,
            "estimated_from_kept": round(self.estimate, 1),
            "estimate_deviation": round(math.sqrt(self.variance), 1),
        }


class SamplingReport:
    """Counts since the sidecar's start.

    Args:
        metrics: where they are shown as well.
        routes: bounds the routes.
    """

    def __init__(self, metrics: Metrics, routes: RouteTable) -> None:
        self._metrics = metrics
        self._rows: dict[RouteKey, _Row] = {}
        routes.on_evicted(self._forget)

    def observe(self, outcome: RequestOutcome) -> None:
        """Count one request."""
        row = self._rows.get(outcome.route)
        if row is None:
            row = self._rows[outcome.route] = _Row()
        row.count(outcome)
        service, route = outcome.route
        self._metrics.add(ROUTE_REQUESTS, service, route, outcome.decision)

    def routes(self) -> list[Mapping[str, object]]:
        """Return a row for each route, those with the most requests first."""
        rows = sorted(self._rows.items(), key=lambda item: -item[1].seen)
        return [{"service": service, "route": route, **row.report()} for (service, route), row in rows]

    def _forget(self, route: RouteKey) -> None:
        self._rows.pop(route, None)
        self._metrics.forget_prefix(ROUTE_REQUESTS, *route)
