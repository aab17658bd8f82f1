"""What became of every route's requests: seen, kept, why, and how many they are by the traces kept alone.

The last is a check that anyone can make: a trace kept with probability p stands for 1/p requests, so the sum
over the kept ones estimates all that were decided by probability, which the report counts as well.

Source for the estimate and its deviation: D. G. Horvitz and D. J. Thompson, 1952, for independent draws.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from otlp_tracing.context import RequestContext
from otlp_tracing.metrics import NAMES_REFUSED, ROUTE_REQUESTS
from otlp_tracing.sidecar.telemetry.registry import Metrics

__all__ = ["SamplingReport"]

# Up to eleven series each on /metrics, a megabyte in all; what NameGuard allows one service as well.
MAX_ROUTES = 500
_OTHER = "_OTHER"


@dataclass(slots=True)
class _Row:
    entry: str = ""
    seen: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    probability: float | None = None
    by_probability: int = 0
    estimate: float = 0.0
    variance: float = 0.0

    def count(self, entry: str, context: RequestContext, kept_for: str | None) -> str:
        self.entry = entry
        self.seen += 1
        probability = context.probability
        if probability is not None:
            self.probability = probability
            self.by_probability += 1
            if context.sampled and probability > 0:
                self.estimate += 1 / probability
                self.variance += (1 - probability) / probability**2
        # A record of a gateway before `decided_by` was there, or changed by somebody, may be without it.
        reason = kept_for or (context.decided_by or "rate" if context.sampled else "dropped")
        if reason != "dropped":
            self.kept[reason] += 1
        return reason

    def report(self) -> Mapping[str, object]:
        return {
            "entry": self.entry,
            "seen": self.seen,
            "kept": self.kept.total(),
            "kept_by": dict(sorted(self.kept.items())),
            "probability": self.probability,
            "decided_by_probability": self.by_probability,
            "estimated_from_kept": round(self.estimate, 1),
            "estimate_deviation": round(math.sqrt(self.variance), 1),
        }


class SamplingReport:
    """Counts since the sidecar's start; past the bound, routes are counted together as `_OTHER`."""

    def __init__(self, metrics: Metrics, max_routes: int = MAX_ROUTES) -> None:
        self._metrics = metrics
        self._max_routes = max_routes
        self._rows: dict[tuple[str, str], _Row] = {}

    def observe(self, place: tuple[str, str], entry: str, context: RequestContext, kept_for: str | None) -> None:
        """Count one request.

        Args:
            place: LogRecord.place.
            entry: name of the plugin entry.
            context: what was decided in the beginning.
            kept_for: why it was kept after the response; None where it was not, or not for that.
        """
        place = self._bounded(place)
        row = self._rows.get(place)
        if row is None:
            row = self._rows[place] = _Row()
        reason = row.count(entry, context, kept_for)
        self._metrics.add(ROUTE_REQUESTS, *place, reason)

    def routes(self) -> list[Mapping[str, object]]:
        """Return a row for each route, those with the most requests first."""
        rows = sorted(self._rows.items(), key=lambda item: -item[1].seen)
        return [{"service": service, "route": route, **row.report()} for (service, route), row in rows]

    def _bounded(self, place: tuple[str, str]) -> tuple[str, str]:
        if place in self._rows or len(self._rows) < self._max_routes:
            return place
        self._metrics.add(NAMES_REFUSED, "route_requests")
        return _OTHER, _OTHER
