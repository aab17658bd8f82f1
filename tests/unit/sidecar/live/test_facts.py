"""Promises of sidecar/live/facts.py."""

from __future__ import annotations

import pytest

from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.live.facts import Facts
from otlp_tracing.sidecar.redaction.redactor import Redactor


def facts_of(**config: object) -> Facts:
    settings = Settings.from_config(config)
    return Facts.of(settings, Redactor(settings.redaction))


def test_headers_are_those_that_rules_ask_for() -> None:
    """In lower case; those of secrets are not written down, even if a rule asks for them."""
    rule = {"name": "x", "headers": ["X-Tier: gold", "X-Api-Key: *", "Cookie: a"], "rate": 1}

    assert facts_of(sampling={"rules": [rule]}).headers == ("x-tier",)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/users/7", "/users/7"),
        ("/users/jane.roe@example.com/orders", "/users/REDACTED/orders"),
        ("", ""),
    ],
)
def test_a_path_is_redacted_before_a_rule_sees_it(path: str, seen: str) -> None:
    """As it is before it is exported: whoever may try rules learns nothing by trying."""
    assert facts_of().redact(path) == seen
