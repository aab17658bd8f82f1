"""Configurations for every field of the plugin's schema: values that its rules allow, and values that each breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from otlp_tracing.config.validation import FieldList

_OF_ANOTHER_TYPE: Mapping[str, list[object]] = {
    "string": [5, True, ["a"], {"a": 1}],
    "number": ["0.5", True, [0.5]],
    "integer": ["5", 1.5, True, {"a": 1}],
    "boolean": ["true", 1, []],
    "array": ["a", 5, True],
    "record": ["a", 5, True, ["a"]],
}
_STRINGS = [
    "",
    "a",
    "GET",
    "w3c",
    "http://collector:4317",
    "name: value",
    "X-Name",
    "/health*",
    "{vault://env/name}",
    "a\nb",
]


def configurations(fields: FieldList) -> Iterator[dict[str, Any]]:
    """Yield configurations in which one field differs from its default, and one of an unknown field a record."""
    yield {}
    yield {"no_such_field": 1}
    for field in fields:
        for name, definition in field.items():
            yield from ({name: value} for value in _values(definition))


def _values(definition: Mapping[str, Any]) -> Iterator[Any]:
    kind = definition["type"]
    yield None
    yield from _OF_ANOTHER_TYPE[kind]
    if kind == "record":
        yield from configurations(definition["fields"])
    elif kind == "array":
        yield []
        yield from ([value] for value in _values(definition["elements"]) if value is not None)
    elif kind == "boolean":
        yield from (True, False)
    elif kind == "string":
        yield from definition.get("one_of", [])
        yield from _STRINGS
    else:
        low, high = definition.get("between", [0, 1])
        yield from (low, high, low - 1, high + 1)
