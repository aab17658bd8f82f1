"""Promises of config/schema.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from checkout import CHECKOUT
from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.config.validation import complete

README = CHECKOUT / "README.md"

# As the guide that users come from has it.
GUIDE_CONFIG = {
    "endpoint": "http://otel-collector:4317",
    "headers": ["x-api-key: your-api-key"],
    "resource_attributes": [
        {"key": "service.name", "value": "kong-gateway"},
        {"key": "service.version", "value": "1.0.0"},
    ],
    "batch_export": {"timeout": 5000, "send_batch_size": 512},
    "sampling": {"rate": 1.0},
}


def leaves(fields: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for field in fields:
        for name, definition in field.items():
            if definition["type"] == "record":
                yield f"{path}{name}", definition
                yield from leaves(definition["fields"], f"{path}{name}.")
            else:
                yield f"{path}{name}", definition
                yield from leaves(definition.get("elements", {}).get("fields", ()), f"{path}{name}[].")


def test_every_field_is_described() -> None:
    """Kong refuses a plugin with a description of under 10 or over 500 characters, also of a field in a list."""
    assert [path for path, field in leaves(SCHEMA) if not 10 <= len(field.get("description", "")) <= 500] == []


def test_the_guides_configuration_is_accepted_as_it_stands() -> None:
    """A kong.yml written after the guide needs no change but the plugin's name."""
    completed, faults = complete(SCHEMA, GUIDE_CONFIG)

    assert not faults
    assert completed["headers"] == GUIDE_CONFIG["headers"]


def test_an_empty_configuration_is_complete() -> None:
    """Every field has a default or may stay unset."""
    assert complete(SCHEMA, {})[1] == []


def test_numbers_have_a_range() -> None:
    """No number is taken without bounds."""
    unbounded = [
        path for path, field in leaves(SCHEMA) if field["type"] in {"number", "integer"} and "between" not in field
    ]

    assert unbounded == []


def test_a_header_can_come_from_a_vault() -> None:
    """A header line may be a reference as a whole; within a line Kong would not resolve it."""
    assert complete(SCHEMA, {"headers": ["{vault://env/otlp-header}"]})[1] == []
