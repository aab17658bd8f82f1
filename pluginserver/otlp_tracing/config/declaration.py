"""Kong's schema of a plugin, made from the dataclasses that declare its settings.

A dataclass is a record. Its field has the type and the default of the setting, and `about` in its annotation.
A field without a default is required. Pure: knows no setting.

Source: kong/db/schema/metaschema.lua of Kong 3.9.1.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Hashable
from typing import Any, cast

Field = dict[str, dict[str, Any]]

_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number"}


def about(description: str, **rules: Any) -> dict[str, Any]:
    """Return a field's description, and its rules in Kong's words, for its annotation.

    Args:
        description: for Kong's Admin API and the documentation, 10 to 500 characters.
        rules: such as `between`. `elements` has the rules of an array's elements. `variable` names the environment
            variable that fills the field. Then Kong's schema has no default, so that an unset field can be recognized.
    """
    return {"description": description, **rules}


@functools.cache
def hints_of(record: Hashable) -> dict[str, Any]:
    """Return the types of a dataclass's fields; each call of get_type_hints would compile the annotations again."""
    return typing.get_type_hints(record)


@functools.cache
def fields_of(record: Hashable) -> list[Field]:
    """Return a dataclass's fields in Kong's schema language."""
    hints = typing.get_type_hints(record, include_extras=True)
    return [{one.name: _definition(hints[one.name], one.default)} for one in dataclasses.fields(cast(Any, record))]


def _definition(annotation: Any, default: object) -> dict[str, Any]:
    hint, described = typing.get_args(annotation)
    definition = {**_kind(hint), **described}
    if definition["type"] == "array":
        definition["elements"] = {**_kind(hint)["elements"], **described.get("elements", {})}
    if definition.pop("variable", None):
        return definition
    if definition["type"] == "record":
        definition["required"] = True
    elif definition["type"] == "array":
        definition["default"] = list(default) if isinstance(default, tuple) else []
    elif default is dataclasses.MISSING:
        definition["required"] = True
    elif default is not None:
        definition["default"] = default
    return definition


def _kind(hint: Any) -> dict[str, Any]:
    arguments = [one for one in typing.get_args(hint) if one not in (type(None), Ellipsis)]
    if dataclasses.is_dataclass(hint):
        return {"type": "record", "fields": fields_of(cast(Hashable, hint))}
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "elements": _kind(arguments[0])}
    if typing.get_origin(hint) is typing.Literal:
        return {"type": "string", "one_of": arguments}
    return _kind(arguments[0]) if arguments else {"type": _KINDS[hint]}
