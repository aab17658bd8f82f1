"""Promises of sidecar/redaction/scan/scan.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.config.sensitive_names import SensitiveNames
from otlp_tracing.config.settings import Redaction
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.redaction.cost import SEARCH, SPAN_BUDGET, CostBudget
from otlp_tracing.sidecar.redaction.detectors.assigned_secret import AssignedSecret
from otlp_tracing.sidecar.redaction.detectors.email import Email
from otlp_tracing.sidecar.redaction.scan.patterns import Patterns
from otlp_tracing.sidecar.redaction.scan.scan import Scan
from redacting import redacted, span_of


def test_a_value_over_its_budget_is_replaced_whole() -> None:
    """It has its own rule."""
    hostile = " ".join(["Bearer aaaaaaaaaaaaaaaa1 a@b.cc eyJhbGciOiJIUzI1NiJ9.e30.x"] * 40)
    result, noted = redacted(span_of(a=hostile, b="fine"))

    assert result.attributes == {"a": "[REDACTED]", "b": "fine"}
    assert noted == [("a", "budget", "redacted", hostile)]


def test_lone_surrogates_are_replaced() -> None:
    """They can be neither encoded nor searched."""
    result, _ = redacted(span_of(a="\ud800 alice@example.com"), patterns=[{"name": "p", "pattern": "zzz"}])

    assert result.attributes == {"a": "? [REDACTED]"}


@given(st.dictionaries(st.sampled_from(["url.query", "url.path", "url.full", "a"]), st.text(max_size=200)))
def test_any_string_gives_a_valid_span(attributes: dict[str, str]) -> None:
    """The span can be encoded."""
    redaction = {"detectors": ["email", "jwt", "credentials", "credit_card", "iban", "cloud_key", "phone", "ip"]}

    assert encode_span(redacted(span_of(**attributes), **redaction)[0])


def test_strings_without_a_finding_are_scanned_once() -> None:
    """From the second span on they cost no scan beside a finding, which is found in every span; memory is bounded."""
    scan = Scan([Email()], Patterns(()))
    texts = [*(f"name-{number}" for number in range(20)), "alice@example.com"]
    budgets = [CostBudget() for _ in range(3)]
    found = [list(scan.find(texts, budget)) for budget in budgets]
    spent = [SPAN_BUDGET - budget.left for budget in budgets]
    for number in range(1100):
        scan.find([f"text {number}", "alice@example.com"], CostBudget())

    assert found == [[20], [20], [20]]
    assert spent[0] - spent[1] >= 20 * SEARCH
    assert spent[1] == spent[2]
    assert len(scan._clean) == 1024


def test_empty_strings_make_no_other_string_suspicious() -> None:
    """A name before an empty string is not the head of a form's part, whose value follows an empty line."""
    scan = Scan([AssignedSecret(SensitiveNames.from_settings(Redaction()))], Patterns(()))

    assert not scan.find(["GET /auth", "", "GET"], CostBudget())
    assert not scan._clean  # no string was scanned alone
    assert scan.find(['name="token"\n\nabc'], CostBudget())
