"""Promises of sidecar/tail/report.py."""

from __future__ import annotations

import dataclasses
import math

from doubles import ManualClock
from otlp_tracing.context import RequestContext
from otlp_tracing.metrics import ROUTE_REQUESTS
from otlp_tracing.sidecar.route_table import RouteTable
from otlp_tracing.sidecar.tail.report import SamplingReport
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import CONTEXT, outcome_of


def decided(by: str, sampled: bool, probability: float | None = None) -> RequestContext:
    return dataclasses.replace(CONTEXT, decided_by=by, flags=int(sampled), probability=probability)


def test_every_route_says_what_was_kept_and_why() -> None:
    """Seen, kept by reason, the probability now, and the estimate from the kept traces."""
    metrics = Metrics()
    report = SamplingReport(metrics, RouteTable())
    for context, kept_for in (
        (decided("rate", True, 0.5), None),
        (decided("budget", False, 0.25), None),
        (decided("budget", True, 0.25), None),
        (decided("budget", False, 0.25), "rare"),
        (decided("rate", False, 0.25), "error"),
        (decided("parent", True), None),
    ):
        report.observe(outcome_of(context, kept_for=kept_for, route_key=("users", "list")))

    assert report.routes() == [
        {
            "service": "users",
            "route": "list",
            "entry": "entry",
            "seen": 6,
            "kept": 5,
            "kept_by": {"budget": 1, "error": 1, "parent": 1, "rare": 1, "rate": 1},
            "dropped_later": 0,
            "probability": 0.25,
            "decided_by_probability": 5,
            "estimated_from_kept": 6.0,
            "estimate_deviation": round(math.sqrt(0.5 / 0.25 + 0.75 / 0.0625), 1),
        }
    ]
    assert metrics.value(ROUTE_REQUESTS, service="users", route="list", decision="not_sampled") == 1
    assert metrics.value(ROUTE_REQUESTS, service="users", route="list", decision="rare") == 1


def test_a_trace_dropped_later_is_counted_and_estimates_nothing() -> None:
    """The head kept it, and a tail rule did not."""
    metrics = Metrics()
    report = SamplingReport(metrics, RouteTable())
    report.observe(outcome_of(decided("rate", True, 0.5), is_dropped_later=True))
    (row,) = report.routes()

    assert (row["seen"], row["kept"], row["dropped_later"], row["estimated_from_kept"]) == (1, 0, 1, 0.0)
    assert metrics.value(ROUTE_REQUESTS, service="users", route="all", decision="dropped_later") == 1


def test_an_evicted_route_is_removed() -> None:
    """Its row and its series are gone; the next requests of other routes are counted."""
    clock = ManualClock()
    routes = RouteTable(clock=clock, max_routes=1)
    metrics = Metrics()
    report = SamplingReport(metrics, routes)
    for name in ("old", "new", "new"):
        report.observe(outcome_of(decided("rate", True, 1.0), route_key=routes.key("", name)))
        clock.now += 601

    assert [row["route"] for row in report.routes()] == ["new"]
    assert metrics.value(ROUTE_REQUESTS, service="", route="old", decision="rate") == 0
