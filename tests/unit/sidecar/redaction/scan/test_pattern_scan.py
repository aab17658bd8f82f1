"""Promises of sidecar/redaction/scan/pattern_scan.py."""

from __future__ import annotations

import pytest

from redacting import redacted, span_of, values_of


@pytest.mark.parametrize(
    ("pattern", "texts", "left"),
    [
        ("session=[^&]*", ["session=abc", "/r", "route"], ["[REDACTED]", "/r", "route"]),
        ("session=[^&]*", ["page=1&session=abc", "/session=d", "x"], ["page=1&[REDACTED]", "/[REDACTED]", "x"]),
        (r"y\s*y", ["xy", "yz", "yyx"], ["xy", "yz", "[REDACTED]x"]),
        (r"\b|x", ["", "a", "ax"], ["", "a", "a[REDACTED]"]),
        (r"y\s", ["xy", "y y", "z"], ["xy", "[REDACTED]y", "z"]),
        (r"(?:^|\s)x", ["a x b", "x", "ax"], ["a[REDACTED] b", "[REDACTED]", "ax"]),
        ("[^&]+$", ["a&b%20c", "d", "é&%26", "g%26h"], ["a&[REDACTED]", "[REDACTED]", "é&%26", "g%26[REDACTED]"]),
    ],
)  # fmt: skip
def test_a_pattern_matches_within_one_string(pattern: str, texts: list[str], left: list[str]) -> None:
    """Strings are searched joined, and `[^&]` also matches the separator."""
    assert values_of(span_of(a=texts), patterns=[{"name": "p", "pattern": pattern}]) == {"a": left}


def test_a_pattern_sees_the_decoded_value() -> None:
    """`^` and `$` are its ends."""
    patterns = [{"name": "p", "pattern": "^order 1$"}]

    assert values_of(span_of(a="order%201", b="my order 1"), patterns=patterns) == {
        "a": "[REDACTED]",
        "b": "my order 1",
    }


@pytest.mark.parametrize("pattern", ["x", r"x\s*"])
def test_only_the_string_over_its_budget_is_replaced_whole(pattern: str) -> None:
    """The strings before and after it are searched."""
    span = span_of(a="one x", b="x" * 1000, c="last", d="x%201 y")
    result, noted = redacted(span, patterns=[{"name": "p", "pattern": pattern}])

    assert result.attributes == {
        "a": "one [REDACTED]",
        "b": "[REDACTED]",
        "c": "last",
        "d": "[REDACTED]%201 y" if pattern == "x" else "[REDACTED]1 y",
    }
    assert [(name, rule) for name, rule, _, _ in noted] == [("a", "p"), ("b", "budget"), ("d", "p")]


def test_no_client_can_mask_attributes_of_the_route() -> None:
    """Long and hostile strings use up their own budget only."""
    ours = {"http.route": "/api/{id}", "kong.route.name": "orders"}
    hostile = {"url.query": "a@b.cc&" * 1000, "url.path": "/x" * 4000, "user_agent.original": "ORD-1 " * 1000}
    patterns = [{"name": "p", "pattern": "ORD-[0-9]|x"}, {"name": "q", "pattern": "[ab]{150}c"}]
    values = values_of(span_of(**hostile, **ours), patterns=patterns)

    assert {name: values[name] for name in ours} == ours
    assert "ORD" not in str(values)
