"""Promises of sidecar/redaction/scan/patterns.py."""

from __future__ import annotations

import pytest

from otlp_tracing.config.settings import Pattern
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.redaction.scan.patterns import MAX_INSTRUCTIONS, Patterns


def test_each_match_has_the_name_of_its_pattern() -> None:
    """All patterns are one search."""
    patterns = Patterns([Pattern("order", "ORD-[0-9]{8}"), Pattern("customer", "(?i:cust)([0-9]+)")])
    found = list(patterns.matches("a CUST12 b ORD-12345678 c"))

    assert [(one.rule, one.value) for one in found] == [("customer", "CUST12"), ("order", "ORD-12345678")]


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [("(a", "RE2 accepts"), (r"(?=a)b", "RE2 accepts"), (r"(a)\1", "RE2 accepts"), ("a*", "empty text")],
)
def test_an_invalid_pattern_is_named(pattern: str, rule: str) -> None:
    """The fault has field, value and rule."""
    with pytest.raises(ConfigError) as caught:
        Patterns([Pattern("fine", "b+"), Pattern("wrong", pattern)])

    (fault,) = caught.value.faults
    assert (fault.field, fault.value) == ("redaction.patterns[2].pattern", pattern)
    assert rule in fault.rule


def test_the_size_of_patterns_is_bounded() -> None:
    """Counted repetition makes a short pattern large."""
    with pytest.raises(ConfigError, match=f"at most {MAX_INSTRUCTIONS} instructions"):
        Patterns([Pattern("large", "[a-z]{400}")])


def test_a_pattern_costs_by_its_size() -> None:
    """The worst case is counted for each text."""
    small, large = Patterns([Pattern("small", "abc")]), Patterns([Pattern("large", "[a-z]{60}1")])

    assert small.cost("x" * 1000) < large.cost("x" * 1000)
    assert small.cost("x") < small.cost("x" * 1000)
