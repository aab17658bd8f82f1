"""Promises of sidecar/telemetry/histogram_family.py."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families

from otlp_tracing.metrics import Metric
from otlp_tracing.sidecar.telemetry.histogram_family import HistogramFamily

METRIC = Metric("a_seconds", "histogram", "A histogram.", ("route",), (0.005, 1, 2.5))
VALUES = (0.0, 0.005, 0.3, 1.0, 7.0)


def shown(registry: CollectorRegistry) -> list[str]:
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    return sorted(line for line in encode(registry).decode().splitlines() if "_created" not in line)


def test_a_scrape_is_as_of_the_library() -> None:
    """The same lines as prometheus_client's own histogram writes for these values."""
    own, library = CollectorRegistry(), CollectorRegistry()
    family = HistogramFamily(METRIC)
    own.register(family)
    theirs = Histogram(METRIC.name, METRIC.help, METRIC.labels, registry=library, buckets=METRIC.buckets)
    for value in VALUES:
        family.labels("r").observe(value)
        theirs.labels("r").observe(value)

    assert shown(own) == shown(library)
    assert list(text_string_to_metric_families("\n".join(shown(own))))
