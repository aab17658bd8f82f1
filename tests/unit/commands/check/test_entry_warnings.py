"""Promises of commands/check/entry_warnings.py, as `inspect` gives them."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.commands.check.entry_rules import inspect


@pytest.mark.parametrize(
    ("rule", "warns"),
    [
        ({"statuses": [5], "rate": 0}, True),
        ({"statuses": [404, 503], "rate": 0.5}, True),
        ({"statuses": [5], "rate": 1}, False),
        ({"statuses": [4], "rate": 0}, False),
        ({"rate": 0}, False),
    ],
)
def test_a_tail_rule_that_errors_never_reach_is_a_warning(rule: dict[str, Any], warns: bool) -> None:
    """sampling.keep is asked first; without keep.errors the rule decides."""
    rules = [{"name": "a", **rule}]
    entry = {"name": "otlp-tracing", "config": {"sampling": {"tail_rules": rules}}}
    without_keep = {"name": "otlp-tracing", "config": {"sampling": {"tail_rules": rules, "keep": {"errors": False}}}}

    assert [field for field, _ in inspect(entry)[1]] == ["config.sampling.tail_rules[1].statuses"] * warns
    assert inspect(without_keep) == ([], [])


@pytest.mark.parametrize(
    ("load", "warns"),
    [
        ({}, False),
        ({"high": 0.8}, False),
        ({"high": 0.8, "low": 0.8}, True),
        ({"high": 0.2}, True),
        ({"low": 1}, False),
    ],
)
def test_bounds_of_the_load_that_cross_are_a_warning(load: dict[str, Any], warns: bool) -> None:
    """Kong takes them; rates would move up and down at once."""
    entry = {"name": "otlp-tracing", "config": {"sampling": {"load": load}}}

    faults, warnings = inspect(entry)
    assert [field for field, _ in warnings] == ["config.sampling.load.low"] * warns
    assert faults == []


@pytest.mark.parametrize(
    ("rules", "warning"),
    [
        ([{"statuses": [404, 60]}], ("tail_rules[1].statuses[2]", "60 must be a status such as 404")),
        ([{"slower_than_ms": 9, "faster_than_ms": 9}], ("tail_rules[1].faster_than_ms", "no request matches it")),
        ([{}, {"consumers": ["a"]}], ("tail_rules[2]", "rule 1 before it matches every request")),
        ([{"paths": ["/a", "orders"]}], ("rules[1].paths[2]", "must begin with /")),
        ([{"hosts": ["a.example:8443"]}], ("rules[1].hosts[1]", "must be a host name")),
    ],
)
def test_a_rule_that_no_request_can_match_is_a_warning(rules: list[dict[str, Any]], warning: tuple[str, str]) -> None:
    """Kong's schema cannot refuse it, and the rule would be silent for ever."""
    name = warning[0].partition("[")[0]
    entry = {"config": {"sampling": {name: [{"name": "a", "rate": 1, **one} for one in rules]}}}

    ((field, text),) = inspect({"name": "otlp-tracing", **entry})[1]

    assert field == f"config.sampling.{warning[0]}"
    assert warning[1] in text
