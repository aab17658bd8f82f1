"""The books of a destination: received + restored = exported + rejected + dropped + spooled + in flight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

_PREFIX = "otlp_tracing_spans_"


@dataclass(frozen=True)
class Books:
    """The figures of /metrics for one destination, in spans. `dropped` is by reason."""

    received: int = 0
    restored: int = 0
    exported: int = 0
    rejected: int = 0
    spooled: int = 0
    in_flight: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def balance(self) -> bool:
        """Nothing is unaccounted for."""
        left = self.exported + self.rejected + sum(self.dropped.values()) + self.spooled + self.in_flight
        return self.received + self.restored == left

    @property
    def waiting(self) -> int:
        """Spans still to be delivered."""
        return self.spooled + self.in_flight

    @property
    def lost(self) -> Mapping[str, int]:
        """Spans that will not be delivered, by the reason that is reported."""
        return {**self.dropped, "rejected": self.rejected}


def read_books(page: str, destination: str) -> Books:
    """Read them from a /metrics page."""
    values: dict[str, int] = {}
    dropped: dict[str, int] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if not sample.name.startswith(_PREFIX) or sample.labels.get("destination") != destination:
                continue
            name = sample.name.removeprefix(_PREFIX).removesuffix("_total")
            if name == "dropped":
                dropped[sample.labels["reason"]] = int(sample.value)
            else:
                values[name] = int(sample.value)
    known = {name: values.get(name, 0) for name in ("received", "restored", "exported", "rejected", "in_flight")}
    return Books(**known, spooled=values.get("spooled", 0), dropped=dropped)


def destinations(page: str) -> set[str]:
    """Return the destinations that a /metrics page has books of."""
    return {
        sample.labels["destination"]
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == f"{_PREFIX}received_total"
    }
