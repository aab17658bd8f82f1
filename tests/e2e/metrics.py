"""Read a /metrics page."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from e2e.client import fetch
from e2e.gateways import RunningGateway

__all__ = ["metric", "samples"]


def metric(gateway: RunningGateway, name: str, **labels: str) -> float:
    """Sum a sidecar's series that have these labels, whatever others they have; 0 where there is none."""
    return samples(gateway.sidecar_url, name, **labels)


def samples(url: str, name: str, **labels: str) -> float:
    """Sum the series of a /metrics page that have these labels, whatever others they have."""
    answer = fetch(url, "/metrics")
    assert answer.status == 200
    families = text_string_to_metric_families(answer.text())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
