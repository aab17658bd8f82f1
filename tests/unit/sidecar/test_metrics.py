"""Promises of sidecar/metrics.py."""

from __future__ import annotations

from prometheus_client.samples import Sample

from otlp_tracing.contract.counters import EVENTS_FAILED, RECORDS_REFUSED, SPANS_DROPPED, SPANS_SPOOLED, Metric
from otlp_tracing.sidecar.metrics import Metrics

NAME = EVENTS_FAILED.name


def test_totals_of_several_processes_add_up() -> None:
    """A report repeats what came before; only the difference counts, and each process has its own."""
    metrics = Metrics()
    for sender, total in ((b"a", 3), (b"a", 5), (b"a", 5), (b"b", 2)):
        metrics.report(sender, [(NAME, ("access",), total)])

    assert metrics.value(EVENTS_FAILED, phase="access") == 7


def test_a_report_makes_no_metrics_up() -> None:
    """Unknown names, wrong labels and endless label values are passed over."""
    metrics = Metrics()
    metrics.report(b"a", [("made_up_total", (), 1), (NAME, (), 1), (NAME, ("a", "b"), 1)])
    metrics.report(b"a", [(NAME, (f"phase {number}",), 1) for number in range(5000)])

    (family,) = metrics.registry.restricted_registry([NAME]).collect()
    assert len(family.samples) <= 256


def test_a_series_can_be_read() -> None:
    """What is counted is there under its labels."""
    metrics = Metrics()
    metrics.add(SPANS_DROPPED, "http://c:1", "spool_full", amount=4)

    assert metrics.value(SPANS_DROPPED, destination="http://c:1", reason="spool_full") == 4
    assert metrics.value(SPANS_DROPPED, destination="http://c:2", reason="spool_full") == 0


def test_two_that_share_a_label_add_up() -> None:
    """Two destinations at one endpoint are one series, and neither hides the other."""
    metrics = Metrics()
    for number in (3, 4):
        metrics.gauge(SPANS_SPOOLED, "http://c:1", lambda number=number: number)  # type: ignore[misc]

    assert metrics.value(SPANS_SPOOLED, destination="http://c:1") == 7


def test_a_known_series_is_there_before_its_first_count() -> None:
    """Every reason that is known beforehand is shown as 0, so that an alert on an increase sees the first."""
    metrics = Metrics()

    shown = {sample.labels["reason"]: sample.value for sample in _samples(metrics, RECORDS_REFUSED)}
    assert shown == dict.fromkeys(RECORDS_REFUSED.values, 0.0)


def _samples(metrics: Metrics, metric: Metric) -> list[Sample]:
    (family,) = metrics.registry.restricted_registry([metric.name]).collect()
    return [sample for sample in family.samples if sample.name == metric.name]
