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
    """This holds for all hostile values, kinds and detectors."""
    assert spent(attribute, value, detectors=list(CONTENT_DETECTORS)) <= MILLISECOND, name


@pytest.mark.parametrize("pattern", CATASTROPHIC.values())
def test_a_catastrophic_pattern_costs_no_more(pattern: str) -> None:
    """This holds for all hostile values."""
    worst = max(
        spent("url.query", value, detectors=list(CONTENT_DETECTORS), patterns=[{"name": "p", "pattern": pattern}])
        for value in hostile_values().values()
    )

    assert worst <= MILLISECOND


def test_the_cost_of_a_span_is_bounded() -> None:
    """The length of its values does not matter."""
    assert max(spent("a", value * 60) for value in hostile_values().values()) <= SPAN_BUDGET


def test_an_ordinary_value_is_cheap() -> None:
    """It costs a hundredth of a hostile one."""
    assert spent("url.path", "/api/users/42/orders") < MILLISECOND / 100


@pytest.mark.parametrize(
    "identifier",
    [
        "0dc6f45b-8f8d-40d2-ad45-473544ee190b",
        "0dc6f45b-de89-40d2-8d45-473544ee190b",
        "be12abcd-1234-4567-8901-234567890123",
    ],
)
def test_an_identifier_is_cheap(identifier: str) -> None:
    """Kong's UUIDs can look like the beginning of an IBAN."""
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
