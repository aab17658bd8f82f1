"""Kong's env vault: `{vault://env/my-secret}` means the environment variable MY_SECRET.

Only a whole value is a reference. Other vaults do not exist and give nothing.

Source: kong/vaults/env/init.lua and process_auto_fields in kong/db/schema/init.lua of Kong 3.9.1.
"""

from __future__ import annotations

import os
import re
from typing import Any

from otlp_tracing.config.validation import FieldList, is_vault_reference

_ENV_REFERENCE = re.compile(r"\{vault://env/([A-Za-z0-9_-]+)\}")


def _dereference(reference: str) -> str | None:
    """Give the value of a reference; None without one."""
    found = _ENV_REFERENCE.fullmatch(reference)
    return os.environ.get(found[1].upper().replace("-", "_")) if found else None


def resolve(fields: FieldList, config: dict[str, Any]) -> dict[str, Any]:
    """Put secrets in place of references, where the schema allows them, and leave out unset ones.

    A record that had references keeps them under `$refs`, as Kong hands it to plugins. A secret that is not there
    becomes an empty string.
    """
    resolved: dict[str, Any] = {}
    references: dict[str, Any] = {}
    for field in fields:
        for name, definition in field.items():
            value = config.get(name)
            if value is not None:
                resolved[name] = _resolve_field(definition, name, value, references)
    if references:
        resolved["$refs"] = references
    return resolved


def _resolve_field(definition: Any, name: str, value: Any, references: dict[str, Any]) -> Any:
    if definition["type"] == "record":
        return resolve(definition["fields"], value)
    if definition["type"] in {"array", "set"}:
        elements = definition["elements"]
        if elements["type"] == "record":
            return [resolve(elements["fields"], item) for item in value]
        return _resolve_list(elements, name, value, references)
    if definition["type"] == "map":
        return {key: _resolve_field(definition["values"], key, item, references) for key, item in value.items()}
    if definition.get("referenceable") and is_vault_reference(value):
        references[name] = value
        return _dereference(value) or ""
    return value


def _resolve_list(elements: Any, name: str, values: list[Any], references: dict[str, Any]) -> list[Any]:
    if not elements.get("referenceable"):
        return values
    found = [value for value in values if is_vault_reference(value)]
    if found:
        references[name] = found
    return [_dereference(value) or "" if is_vault_reference(value) else value for value in values]
