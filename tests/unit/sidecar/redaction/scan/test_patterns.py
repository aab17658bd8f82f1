"""Promises of sidecar/redaction/scan/patterns.py."""

from __future__ import annotations

import pytest

from otlp_tracing.config.settings import Pattern
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.redaction.scan.patterns import MAX_INSTRUCTIONS, Patterns


def test_each_match_has_the_name_of_its_pattern() -> None:
    """Though all patterns are one search."""
    patterns = Patterns([Pattern("order", "ORD-[0-9]{8}"), Pattern("customer", "(?i:cust)([0-9]+)")])
    found = list(patterns.matches("a CUST12 b ORD-12345678 c"))

    assert [(one.rule, one.value) for one in found] == [("customer", "CUST12"), ("order", "ORD-12345678")]


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [("(a", "RE2 accepts"), (r"(?=a)b", "RE2 accepts"), (r"(a)\1", "RE2 accepts"), ("a*", "empty text")],
)
def test_a_pattern_that_cannot_be_used_is_named(pattern: str, rule: str) -> None:
    """Field, value and rule."""
    with pytest.raises(ConfigError) as caught:
        Patterns([Pattern("fine", "b+"), Pattern("wrong", pattern)])

    (fault,) = caught.value.faults
    assert (fault.field, fault.value) == ("redaction.patterns[2].pattern", pattern)
    assert rule in fault.rule


def test_patterns_have_a_bound_on_their_size() -> None:
    """Counted repetition is how a short pattern becomes a large one."""
    with pytest.raises(ConfigError, match=f"at most {MAX_INSTRUCTIONS} instructions"):
        Patterns([Pattern("large", "[a-z]{400}")])


def test_a_pattern_costs_by_its_size() -> None:
    """What it would take at the worst is counted, on every text."""
    small, large = Patterns([Pattern("small", "abc")]), Patterns([Pattern("large", "[a-z]{60}1")])

    assert small.cost("x" * 1000) < large.cost("x" * 1000)
    assert small.cost("x") < small.cost("x" * 1000)
