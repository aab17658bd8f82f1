"""Whether a span keeps to the semantic conventions: its attributes against testdata/semconv/registry.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from otlp_tracing.sidecar.spans.model import SpanRecord

REGISTRY: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "testdata/semconv/registry.yaml").read_text())
_ATTRIBUTES: dict[str, dict[str, Any]] = REGISTRY["attributes"]
_TEMPLATES = tuple(name for name, facts in _ATTRIBUTES.items() if facts["type"].startswith("template["))
_TYPES: Mapping[str, type] = {"string": str, "int": int}


def faults(span: SpanRecord) -> list[str]:
    """Return the faults in a span's attributes; missing() has the missing ones."""
    found = list(attribute_faults(span.attributes))
    if span.is_error != ("error.type" in span.attributes):
        found.append(f"{span.name}: error.type is for spans with the status ERROR, and for all of them")
    return found


def attribute_faults(attributes: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each attribute that the registry does not know, or knows otherwise."""
    for name, value in attributes.items():
        facts = _facts(name)
        if facts is None:
            if not name.startswith(tuple(REGISTRY["own_prefixes"])):
                yield f"{name} is not in the registry"
        elif not _has_type(facts["type"], value):
            yield f"{name} must be {facts['type']}, not {value!r}"
        elif "values" in facts and not facts.get("open") and value not in facts["values"]:
            yield f"{name} must be one of {facts['values']}, not {value!r}"


def missing(span: SpanRecord) -> list[str]:
    """Return the names of required attributes that a span of a whole record lacks."""
    required = [*REGISTRY["required"].get(span.kind, ())]
    if any(name.startswith("rpc.") for name in span.attributes):
        required += REGISTRY["required"]["rpc"]
    required += [
        rule["then"]
        for rule in REGISTRY["conditional"]
        if rule["if"] in span.attributes and span.attributes[rule["if"]] == rule.get("is", span.attributes[rule["if"]])
    ]
    return [name for name in required if name not in span.attributes]


def _facts(name: str) -> dict[str, Any] | None:
    for template in _TEMPLATES:
        if name.startswith(f"{template}."):
            return _ATTRIBUTES[template]
    return None if name in _TEMPLATES else _ATTRIBUTES.get(name)


def _has_type(kind: str, value: Any) -> bool:
    if kind == "template[string[]]":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, _TYPES[kind]) and not isinstance(value, bool)
