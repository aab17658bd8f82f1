"""Read a /metrics page."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from e2e.client import fetch
from e2e.gateways import RunningGateway


def metric(gateway: RunningGateway, name: str, **labels: str) -> float:
    """Sum a sidecar's series that have these labels, whatever others they have; 0 if there is no such series."""
    return samples(gateway.sidecar_url, name, **labels)


def samples(url: str, name: str, **labels: str) -> float:
    """Sum the series of a /metrics page that have these labels, whatever others they have."""
    return snapshot(url)(name, **labels)


def snapshot(url: str) -> Callable[..., float]:
    """Read a /metrics page once. Return a function that sums its series, as `samples` does: figures of one moment."""
    answer = fetch(url, "/metrics")
    assert answer.status == 200
    series = [sample for family in text_string_to_metric_families(answer.text()) for sample in family.samples]

    def total(name: str, **labels: str) -> float:
        return sum(one.value for one in series if one.name == name and labels.items() <= one.labels.items())

    return total
