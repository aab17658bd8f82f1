"""Promises of sidecar/telemetry/counter_family.py."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder

from otlp_tracing.metrics import EVENTS_FAILED, RECORDS_REPEATED, Metric
from otlp_tracing.sidecar.telemetry.counter_family import CounterFamily


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
@pytest.mark.parametrize(("metric", "label_values"), [(EVENTS_FAILED, ('acc"ess',)), (RECORDS_REPEATED, ())])
def test_a_scrape_shows_a_counter_as_prometheus_client_does(
    metric: Metric, label_values: tuple[str, ...], accept: str
) -> None:
    """The same lines, in both formats, but for the time of creation."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    family = CounterFamily(metric)
    ours.register(family)
    reference = Counter(metric.name.removesuffix("_total"), metric.help, metric.labels, registry=theirs)
    for amount in (1, 3):
        family.add(label_values, amount)
        (reference.labels(*label_values) if label_values else reference).inc(amount)

    encode, _ = choose_encoder(accept)
    shown = encode(ours).decode().splitlines()
    assert shown == [line for line in encode(theirs).decode().splitlines() if "_created" not in line]


def test_a_count_has_every_label() -> None:
    """A missing label value is an error of the caller."""
    with pytest.raises(ValueError, match="phase"):
        CounterFamily(EVENTS_FAILED).add((), 1)
