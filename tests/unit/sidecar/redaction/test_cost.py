"""Promises of sidecar/redaction/cost.py: the counted cost of the worst values; docs/redaction.md has times."""

from __future__ import annotations

from typing import Any

import pytest

from corpora.hostile import CATASTROPHIC, hostile_values
from detecting import detector
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.redaction.cost import SPAN_BUDGET, CostBudget, CostExceeded
from otlp_tracing.sidecar.redaction.detectors import CONTENT_DETECTORS
from otlp_tracing.sidecar.redaction.redactor import Redactor
from otlp_tracing.sidecar.spans.model import SpanRecord

MILLISECOND = 250_000  # units of 4 ns


def spent(attribute: str, value: str, **redaction: Any) -> int:
    redactor = Redactor(Settings.from_config({"redaction": redaction}).redaction)
    span = SpanRecord(b"t" * 16, b"s" * 8, None, "", "server", 1, 2, {attribute: value}, 3, "", is_error=False)
    budget = CostBudget()
    redactor.redact(span, lambda *_: None, budget)
    return SPAN_BUDGET - budget.left


@pytest.mark.parametrize("attribute", ["url.query", "url.path", "user_agent.original"])
@pytest.mark.parametrize(("name", "value"), hostile_values().items())
def test_a_kib_costs_a_millisecond_at_the_most(attribute: str, name: str, value: str) -> None:
    """Whatever is in it, wherever it stands, with every detector there is."""
    assert spent(attribute, value, detectors=list(CONTENT_DETECTORS)) <= MILLISECOND, name


@pytest.mark.parametrize("pattern", CATASTROPHIC.values())
def test_a_catastrophic_pattern_costs_no_more(pattern: str) -> None:
    """Whatever the pattern and the value."""
    worst = max(
        spent("url.query", value, detectors=list(CONTENT_DETECTORS), patterns=[{"name": "p", "pattern": pattern}])
        for value in hostile_values().values()
    )

    assert worst <= MILLISECOND


def test_a_span_has_an_end_to_its_cost() -> None:
    """However long its values are."""
    assert max(spent("a", value * 60) for value in hostile_values().values()) <= SPAN_BUDGET


def test_an_ordinary_value_costs_next_to_nothing() -> None:
    """A hundredth of a hostile one."""
    assert spent("url.path", "/api/users/42/orders") < MILLISECOND / 100


@pytest.mark.parametrize(
    "identifier",
    [
        "0dc6f45b-8f8d-40d2-ad45-473544ee190b",
        "0dc6f45b-de89-40d2-8d45-473544ee190b",
        "be12abcd-1234-4567-8901-234567890123",
    ],
)
def test_an_identifier_costs_next_to_nothing(identifier: str) -> None:
    """Kong names routes, services and consumers by UUIDs, and one in twenty has something of an account's number."""
    assert spent("kong.route.id", identifier) < MILLISECOND / 100


@pytest.mark.parametrize("rule", [*CONTENT_DETECTORS, "userinfo", "sensitive_key"])
def test_a_detector_stops_at_its_budget(rule: str) -> None:
    """A search that exceeds the budget does not start."""
    with pytest.raises(CostExceeded):
        list(detector(rule).find("x" * 1024 + ":AAEAA k_ gh", CostBudget(100)))


def test_a_part_is_charged_to_the_whole() -> None:
    """A part has no more than is left; when it is exceeded, all of it is spent."""
    whole = CostBudget(100)
    part = whole.part(60)
    part.spend(10)
    with pytest.raises(CostExceeded):
        part.spend(51)

    assert (part.left, whole.left, whole.part(60).left) == (0, 40, 40)
