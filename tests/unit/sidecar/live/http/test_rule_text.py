"""Promises of sidecar/live/http/rule_text.py."""

from __future__ import annotations

import json

import pytest

from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.live.http.rule_text import parse_sampling

RULE = {"name": "health", "paths": ["/health*"], "rate": 0}


@pytest.mark.parametrize(
    "document",
    [
        {"rate": 0.25, "rules": [RULE]},
        {"sampling": {"rate": 0.25, "rules": [RULE]}},
        {"config": {"sampling": {"rate": 0.25, "rules": [RULE]}, "endpoint": "http://x:4317"}},
        {"name": "otlp-tracing", "config": {"sampling": {"rate": 0.25, "rules": [RULE]}}},
    ],
)
def test_rules_are_found_in_a_pasted_entry(document: object) -> None:
    """They may be alone or inside an entry of a kong.yml."""
    sampling = parse_sampling(json.dumps(document))

    assert sampling.rate == 0.25
    assert [rule.name for rule in sampling.rules] == ["health"]


def test_yaml_is_read() -> None:
    """Rules may be YAML."""
    assert parse_sampling("rate: 0.5\nkeep:\n  errors: false\n").keep.errors is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be the content of"),
        ("- 1", "must be the content of"),
        ("rate: [", "line 1, column"),
        ("rate: 2", "sampling.rate"),
        ("rates: 1", "sampling.rates"),
        ("a: &x 1\nb: *x", "aliases"),
        ("[" * 9000, "cannot be read"),
        ("x" * 20_000, "16384 characters"),
        ("rate: !!python/object:os.system 1", "cannot be read"),
        ("rate: 2026-99-99", "rules|sampling"),
    ],
)
def test_invalid_text_is_a_config_error(text: str, said: str) -> None:
    """The message names the fault."""
    with pytest.raises(ConfigError, match=said):
        parse_sampling(text)
