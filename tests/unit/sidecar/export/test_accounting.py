"""Promises of sidecar/export/accounting.py."""

from __future__ import annotations

from otlp_tracing.metrics import DESTINATION_HELD, SPANS
from otlp_tracing.sidecar.export.accounting import SpanAccounting
from otlp_tracing.sidecar.telemetry.registry import Metrics

LABEL = "http://c:1"


def test_every_span_is_in_one_count() -> None:
    """The counts add up after each step, here and on /metrics."""
    metrics = Metrics()
    accounting = SpanAccounting(LABEL, metrics)
    accounting.receive(10)
    accounting.restore(5)
    accounting.drop(2, "spool_full")
    accounting.send(8)
    accounting.export(5, rejected=2)
    accounting.reject(1)
    accounting.drop_sent(1, "too_large")
    accounting.put_back(1)

    assert accounting.discrepancy == 0
    assert (accounting.exported, accounting.rejected, accounting.spooled, accounting.in_flight) == (3, 3, 6, 0)
    assert metrics.value(SPANS.exported, destination=LABEL) == 3
    assert metrics.value(SPANS.rejected, destination=LABEL) == 3
    assert metrics.value(SPANS.dropped, destination=LABEL, reason="spool_full") == 2
    assert metrics.value(SPANS.spooled, destination=LABEL) == 6


def test_no_more_spans_are_rejected_than_were_sent() -> None:
    """A collector may report any number."""
    accounting = SpanAccounting(LABEL, Metrics())
    accounting.receive(2)
    accounting.send(2)
    accounting.export(2, rejected=100)

    assert (accounting.exported, accounting.rejected, accounting.discrepancy) == (0, 2, 0)


def test_a_held_destination_is_a_series_until_it_ends() -> None:
    """One series has the present reason; none is left for a destination that is not held or forgotten."""
    metrics = Metrics()
    accounting = SpanAccounting(LABEL, metrics)
    accounting.set_held("not_otlp")
    accounting.set_held("refused")
    held = {
        reason: metrics.value(DESTINATION_HELD, destination=LABEL, reason=reason) for reason in ("not_otlp", "refused")
    }
    accounting.close(is_last=True)

    assert held == {"not_otlp": 0, "refused": 1}
    assert metrics.value(DESTINATION_HELD, destination=LABEL, reason="refused") == 0
