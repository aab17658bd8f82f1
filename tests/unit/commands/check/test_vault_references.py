"""Promises of commands/check/vault_references.py."""

from __future__ import annotations

from otlp_tracing.commands.check.vault_references import RESOLVED, literal_references, resolved
from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.config.validation import complete


def test_a_reference_that_kong_resolves_gets_a_value() -> None:
    """A header and a hash key from a vault are judged as if Kong had read them."""
    config = {"headers": ["{vault://env/h}", "a: b"], "redaction": {"hash_key": "{vault://env/key}"}}
    completed, faults = complete(SCHEMA, config)

    assert faults == []
    assert resolved(completed, SCHEMA)["headers"] == ["a: b"]
    assert resolved(completed, SCHEMA)["redaction"]["hash_key"] == RESOLVED
    assert list(literal_references(completed, SCHEMA, "config")) == []


def test_a_reference_that_stays_a_text_is_told() -> None:
    """In a field that Kong does not resolve, and within a longer text."""
    config = {"endpoint": "http://c:4317", "headers": ["a: {vault://env/h}"]}
    completed, _ = complete(SCHEMA, {**config, "capture": {"request_headers": ["{vault://env/n}"]}})

    assert dict(literal_references(completed, SCHEMA, "config")) == {
        "config.headers[1]": "Kong resolves a vault reference only if it is the whole text",
        "config.capture.request_headers[1]": "Kong resolves no vault reference in this field: the text itself is used",
    }
