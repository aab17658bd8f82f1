"""Vault references in a configuration: those that Kong resolves, and those that stay a text.

Kong resolves a `referenceable` field whose whole text is `{vault://…}`, before the plugin sees the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from otlp_tracing.config.validation import FieldList, is_vault_reference

RESOLVED = "resolved-by-kong-from-a-vault"
"""In the place of a vault reference; longer than the shortest key."""


def resolved(value: Any, fields: FieldList) -> dict[str, Any]:
    """Return a completed record with a text in the place of each vault reference that Kong resolves."""
    found = dict(value)
    for name, definition in (pair for field in fields for pair in field.items()):
        elements = definition.get("elements", {})
        if definition["type"] == "record":
            found[name] = resolved(found[name], definition["fields"])
        elif elements.get("type") == "record":
            found[name] = [resolved(one, elements["fields"]) for one in found[name]]
        elif elements.get("referenceable"):
            found[name] = [one for one in found[name] if not is_vault_reference(one)]
        elif definition.get("referenceable") and is_vault_reference(found[name]):
            found[name] = RESOLVED if name == "hash_key" else None if "match" in definition else value[name]
    return found


def literal_references(value: Any, fields: FieldList, path: str) -> Iterator[tuple[str, str]]:
    """Find vault references that Kong does not resolve: in other fields, and within a longer text."""
    for name, definition in (pair for field in fields for pair in field.items()):
        yield from _literal(value[name], definition, f"{path}.{name}")


def _literal(value: Any, definition: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and "{vault://" in value:
        if not definition.get("referenceable"):
            yield path, "Kong resolves no vault reference in this field: the text itself is used"
        elif not is_vault_reference(value):
            yield path, "Kong resolves a vault reference only if it is the whole text"
    elif isinstance(value, list):
        for number, one in enumerate(value, 1):
            yield from _literal(one, definition["elements"], f"{path}[{number}]")
    elif isinstance(value, dict):
        yield from literal_references(value, definition["fields"], path)
