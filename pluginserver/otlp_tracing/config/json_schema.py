"""The plugin's schema as JSON Schema, for editors: of a declarative configuration and of a KongPlugin.

The rules are those of Kong's schema language, where null means unset and no string is empty unless its field
allows it.

Source: JSON Schema, draft 2020-12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otlp_tracing.config.validation import FieldList

_TYPES = {"array": "array", "record": "object"}
_ENTRIES = {"type": ["array", "null"], "items": {"$ref": "#/$defs/entry"}}


def json_schema(name: str, fields: FieldList, version: str) -> dict[str, Any]:
    """Return the schema of a file with entries of one plugin; other plugins and entities are not examined.

    Args:
        name: of the plugin.
        fields: of its `config`.
        version: of the plugin, for the title.
    """
    config = {"properties": {"config": {"$ref": "#/$defs/config"}}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{name} {version} in kong.yml, KongPlugin and KongClusterPlugin",
        "type": "object",
        "properties": {
            "plugins": _ENTRIES,
            "services": _holders("service"),
            "routes": _holders("route"),
        },
        "if": {
            "properties": {"kind": {"enum": ["KongPlugin", "KongClusterPlugin"]}, "plugin": {"const": name}},
            "required": ["kind", "plugin"],
        },
        "then": config,
        "$defs": {
            "config": {**_record(fields), "type": ["object", "null"]},
            "entry": {"if": {"properties": {"name": {"const": name}}, "required": ["name"]}, "then": config},
            "route": {"properties": {"plugins": _ENTRIES}},
            "service": {"properties": {"plugins": _ENTRIES, "routes": _holders("route")}},
        },
    }


def _holders(kind: str) -> dict[str, Any]:
    return {"type": ["array", "null"], "items": {"$ref": f"#/$defs/{kind}"}}


def _record(fields: FieldList) -> dict[str, Any]:
    definitions = [pair for field in fields for pair in field.items()]
    required = [name for name, one in definitions if one.get("required") and one["type"] != "record"]
    return {
        "type": "object",
        "properties": {name: _field(one) for name, one in definitions},
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _field(definition: Mapping[str, Any]) -> dict[str, Any]:
    described = {name: definition[name] for name in ("description", "default") if name in definition}
    if definition["type"] == "record":
        return {**described, **_record(definition["fields"])}
    rules = _rules(definition)
    if definition.get("referenceable"):
        rules = {"anyOf": [{"pattern": r"^\{vault://.*\}$"}, rules]}
    is_nullable = not definition.get("required")
    kind = _TYPES.get(definition["type"], definition["type"])
    return {**described, "type": [kind, "null"] if is_nullable else kind, **rules}


def _rules(definition: Mapping[str, Any]) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    if "one_of" in definition:
        rules["enum"] = [*definition["one_of"], *([] if definition.get("required") else [None])]
    if "between" in definition:
        rules["minimum"], rules["maximum"] = definition["between"]
    if "match" in definition:
        rules["pattern"] = definition["match"]
    if least := definition.get("len_min", int(definition["type"] == "string")):
        rules["minItems" if definition["type"] == "array" else "minLength"] = least
    if "len_max" in definition:
        rules["maxItems" if definition["type"] == "array" else "maxLength"] = definition["len_max"]
    if "elements" in definition:
        rules["items"] = _field({**definition["elements"], "required": True})
    return rules
