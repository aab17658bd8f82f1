"""Promises of sidecar/telemetry/registry.py."""

from __future__ import annotations

from prometheus_client.samples import Sample

from otlp_tracing.metrics import EVENTS_FAILED, EXPORT_DURATION, RECORDS_REFUSED, SPANS, Metric
from otlp_tracing.sidecar.telemetry.registry import Metrics

NAME = EVENTS_FAILED.name
_OF_DESTINATIONS = (SPANS.dropped, EXPORT_DURATION, SPANS.spooled)


def test_totals_of_several_processes_add_up() -> None:
    """A report repeats the earlier counts; only the difference is added, for each worker."""
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
    """A count is shown under its labels."""
    metrics = Metrics()
    metrics.add(SPANS.dropped, "http://c:1", "spool_full", amount=4)

    assert metrics.value(SPANS.dropped, destination="http://c:1", reason="spool_full") == 4
    assert metrics.value(SPANS.dropped, destination="http://c:2", reason="spool_full") == 0


def test_two_that_share_a_label_add_up() -> None:
    """Two destinations at one endpoint are one series, and neither hides the other."""
    metrics = Metrics()
    for number in (3, 4):
        metrics.gauge(SPANS.spooled, "http://c:1", lambda number=number: number)  # type: ignore[misc]

    assert metrics.value(SPANS.spooled, destination="http://c:1") == 7


def test_what_is_forgotten_is_not_shown() -> None:
    """Every series with one value of a label is removed, of any kind, and no other; a new one begins with 0."""
    metrics = Metrics()
    for endpoint in ("http://c:1", "http://c:2"):
        metrics.add(SPANS.dropped, endpoint, "spool_full", amount=4)
        metrics.series(EXPORT_DURATION, "otlp_grpc_span_exporter", endpoint, "").observe(1)
        metrics.gauge(SPANS.spooled, endpoint, lambda: 7)
    metrics.forget_all("destination", "http://c:1")

    shown = [sample.labels["destination"] for one in _OF_DESTINATIONS for sample in _samples(metrics, one)]
    assert set(shown) == {"http://c:2"}
    assert metrics.value(SPANS.spooled, destination="http://c:2") == 7
    metrics.add(SPANS.dropped, "http://c:1", "spool_full")
    assert metrics.value(SPANS.dropped, destination="http://c:1", reason="spool_full") == 1


def test_a_gauge_can_be_ended() -> None:
    """A removed reader is no longer added; the others stay."""
    metrics = Metrics()
    end = metrics.gauge(SPANS.spooled, "http://c:1", lambda: 3)
    metrics.gauge(SPANS.spooled, "http://c:1", lambda: 4)
    end()

    assert metrics.value(SPANS.spooled, destination="http://c:1") == 4


def test_a_known_series_is_there_before_its_first_count() -> None:
    """Every reason that is known beforehand is shown as 0, so that an alert on an increase sees the first."""
    metrics = Metrics()

    shown = {sample.labels["reason"]: sample.value for sample in _samples(metrics, RECORDS_REFUSED)}
    assert shown == dict.fromkeys(RECORDS_REFUSED.values, 0.0)


def _samples(metrics: Metrics, metric: Metric) -> list[Sample]:
    names = {metric.name, f"{metric.name}_count"}
    return [sample for family in metrics.registry.collect() for sample in family.samples if sample.name in names]
