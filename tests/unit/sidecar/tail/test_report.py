"""Promises of sidecar/tail/report.py."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from otlp_tracing.context import RequestContext
from otlp_tracing.metrics import NAMES_REFUSED, ROUTE_REQUESTS
from otlp_tracing.sidecar.tail.report import SamplingReport
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import CONTEXT


def decided(by: str, sampled: bool, probability: float | None = None) -> RequestContext:
    return dataclasses.replace(CONTEXT, decided_by=by, flags=int(sampled), probability=probability)


def test_every_route_says_what_was_kept_and_why() -> None:
    """Seen, kept by reason, the probability now, and what the kept ones say of all."""
    metrics = Metrics()
    report = SamplingReport(metrics)
    for context, kept_for in (
        (decided("rate", True, 0.5), None),
        (decided("budget", False, 0.25), None),
        (decided("budget", True, 0.25), None),
        (decided("budget", False, 0.25), "rare"),
        (decided("rate", False, 0.25), "error"),
        (decided("parent", True), None),
    ):
        report.observe(("users", "list"), "entry", context, kept_for)

    assert report.routes() == [
        {
            "service": "users",
            "route": "list",
            "entry": "entry",
            "seen": 6,
            "kept": 5,
            "kept_by": {"budget": 1, "error": 1, "parent": 1, "rare": 1, "rate": 1},
            "probability": 0.25,
            "decided_by_probability": 5,
            "estimated_from_kept": 6.0,
            "estimate_deviation": round(math.sqrt(0.5 / 0.25 + 0.75 / 0.0625), 1),
        }
    ]
    assert metrics.value(ROUTE_REQUESTS, service="users", route="list", decision="dropped") == 1
    assert metrics.value(ROUTE_REQUESTS, service="users", route="list", decision="rare") == 1


def test_the_routes_are_bounded() -> None:
    """Past the bound routes are counted together, and that is counted."""
    metrics = Metrics()
    report = SamplingReport(metrics, max_routes=2)
    for number in range(5):
        report.observe(("", str(number)), "", decided("rate", True, 1.0), None)
    rows: dict[Any, Any] = {row["route"]: row["seen"] for row in report.routes()}

    assert rows == {"_OTHER": 3, "0": 1, "1": 1}
    assert metrics.value(NAMES_REFUSED, kind="route_requests") == 3
