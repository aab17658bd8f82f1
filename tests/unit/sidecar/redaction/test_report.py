"""Promises of sidecar/redaction/report.py."""

from __future__ import annotations

import json

from otlp_tracing.metrics import REDACTION_ROWS_REFUSED, REDACTIONS
from otlp_tracing.sidecar.redaction.report import MAX_FINGERPRINTS, RedactionReport
from otlp_tracing.sidecar.telemetry.registry import Metrics


def test_findings_are_counted_by_value() -> None:
    """Rows are per route, attribute, rule and action, the most frequent first, without a value."""
    report = RedactionReport(Metrics(), clock=lambda: 0)
    for value in ("alice@example.com", "bob@example.com", "alice@example.com"):
        report.record("users", "url.path", "email", "redacted", value)
    report.record("", "", "jwt", "reported", "eyJ")
    shown = report.as_json()
    first, second = shown["findings"]

    assert shown["since"] == "1970-01-01T00:00:00Z"
    assert (first["route"], first["attribute"], first["rule"], first["count"]) == ("users", "url.path", "email", 3)
    assert sorted(first["fingerprints"].values()) == [1, 2]
    assert (second["attribute"], second["action"]) == ("(span name)", "reported")
    assert "example.com" not in json.dumps(shown)


def test_fingerprints_differ_by_process() -> None:
    """Each process has a random salt, so that values cannot be tried against them."""
    one, other = RedactionReport(Metrics()), RedactionReport(Metrics())
    for report in (one, other):
        report.record("r", "a", "email", "redacted", "alice@example.com")

    assert one.as_json()["findings"][0]["fingerprints"] != other.as_json()["findings"][0]["fingerprints"]


def test_the_report_is_bounded() -> None:
    """Rows and fingerprints have a bound; rows past it are counted."""
    metrics = Metrics()
    report = RedactionReport(metrics, max_rows=2)
    for number in range(50):
        report.record("r", "a", "email", "redacted", str(number))
        report.record(str(number), "a", "email", "redacted", "x")
    rows = report.as_json()["findings"]

    assert len(rows) == 2
    assert len(rows[0]["fingerprints"]) == MAX_FINGERPRINTS
    assert rows[0]["more_values"]
    assert metrics.value(REDACTION_ROWS_REFUSED) == 49


def test_metrics_have_one_series_for_all_patterns() -> None:
    """Their names are chosen by users."""
    metrics = Metrics()
    RedactionReport(metrics).record("r", "a", "order-number", "redacted", "x")

    assert metrics.value(REDACTIONS, rule="pattern", action="redacted") == 1
