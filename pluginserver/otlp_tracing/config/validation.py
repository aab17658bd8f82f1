"""The part of Kong's schema language that external plugins use: fill in defaults, find every fault.

Kong applies a plugin's schema itself, in its Admin API and at its start. `otlp-tracing check` and the
stand-in Kong apply it here, so that a fault is found before Kong reads the file. Pure: knows no plugin and no file.

Supported: types string, number, integer, boolean, array, set, map, record; `required`, `default`,
`one_of`, `between`, `match`, `len_min`, `len_max`, `err`, `referenceable`, `elements`, `values`, `fields`, and
`encrypted`, which marks a secret: its value is never part of a fault, nor is a value in its place or around it.

Source: kong/db/schema/init.lua and metaschema.lua of Kong 3.9.1.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

from otlp_tracing.errors import Fault, cut

FieldList = Sequence[Mapping[str, Mapping[str, Any]]]
"""Fields in order, as Kong writes them: a list of maps with one entry each, name to definition."""

_MOST_NAMES, _LONGEST_NAME = 300, 100  # of the names that are compared with a misspelt one, for 30 ms at most
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_MISSING = object()  # Kong fills in a missing record, and refuses null in its place

_TYPE_NAMES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "set": (list,),
    "map": (dict,),
    "record": (dict,),
    "any": (object,),
}


def complete(fields: FieldList, config: object) -> tuple[dict[str, Any], list[Fault]]:
    """Fill in defaults and list all faults.

    Args:
        fields: a record's fields, as a plugin's schema has them.
        config: of any type; `None` and an empty list count as an empty record, since Lua's empty table
            is both a record and a list.

    Returns:
        The configuration with every default filled in (unset optional fields are `None`), and the
        faults in the order of the fields. With faults, the configuration is not fit for use.
    """
    faults: list[Fault] = []
    completed = _complete_record(fields, _as_record(config), "", faults)
    return completed, faults


def is_vault_reference(value: object) -> bool:
    """Tell whether Kong reads this value from a vault: the whole string is `{vault://…}`."""
    return isinstance(value, str) and value.startswith("{vault://") and value.endswith("}")


def variable_hint(value: str) -> str:
    """Return the end of a rule for a value with a variable of a shell, which Kong does not replace; otherwise empty."""
    found = _VARIABLE.search(value.rpartition("@")[2].partition("?")[0])  # a password is not shown
    if found is None:
        return ""
    reference = f"{{vault://env/{found[1].lower().replace('_', '-')}}}"
    return f"; Kong does not replace {found[0]}: write {reference} as the whole value, which Kong reads from {found[1]}"


def unresolved_references(config: Mapping[str, Any], place: str = "") -> Iterator[Fault]:
    """Give a fault for each vault reference for which Kong has found no value: it puts an empty text there.

    Args:
        config: as Kong passes it, of any shape; `$refs` of a record has its references, by field and position.
        place: of the record, with its point.
    """
    references = config.get("$refs")
    for name, named in references.items() if isinstance(references, dict) else ():
        values = dict(_by_position(config.get(name)))
        for position, reference in _by_position(named):
            if is_vault_reference(reference) and not values.get(position):
                yield Fault(f"{place}{name}", reference, "Kong finds no value for it; set it where Kong starts")
    for name, record in config.items():
        if isinstance(record, dict) and name != "$refs":
            yield from unresolved_references(record, f"{place}{name}.")


def _by_position(value: object) -> Iterator[tuple[str, Any]]:
    # Kong writes a list of references with gaps as an object.
    if isinstance(value, list):
        yield from ((str(number), item) for number, item in enumerate(value, 1))
    elif isinstance(value, dict):
        yield from ((str(position), item) for position, item in value.items())
    else:
        yield "", value


def unknown_field(record: str, name: str, value: object, known: Iterable[str]) -> Fault:
    """Return the fault of a field that does not exist, with the name that was probably meant.

    A name without a value may be a value, and a secret: YAML reads `{client_key: ,secret}` so. It is not shown.
    """
    known = list(known)
    others = f"; there are {', '.join(known)}"
    if value is None:
        return Fault(record, "", f"has an unknown field without a value{others}", "unknown")
    meant = did_you_mean(name, known)
    kind: Literal["misspelt", "unknown"] = "misspelt" if meant else "unknown"
    return Fault(_join(record, cut(name)), "", f"no such field{meant or others}", kind)


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return the end of a sentence with the known name that is like this one; empty if none is.

    Args:
        name: as given; capitals do not matter.
        known: names without `prefix`.
        prefix: of the shown name.
    """
    import difflib  # noqa: PLC0415 - seldom needed, and `serve` and the workers start fast without it

    names = {one.lower(): one for one in islice(known, _MOST_NAMES)}
    close = difflib.get_close_matches(name.lower()[:_LONGEST_NAME], names, 1)
    return f"; did you mean {prefix}{names[close[0]]}?" if close else ""


def _complete_record(fields: FieldList, config: object, path: str, faults: list[Fault]) -> dict[str, Any]:
    if not isinstance(config, dict):
        shown = "" if _holds_a_secret({"type": "record", "fields": fields}) else _shown(config)
        faults.append(Fault(path or "config", shown, "must be a record of named fields"))
        return {}
    definitions = dict(_definitions(fields))
    unknown = [(str(name), value) for name, value in config.items() if name not in definitions]
    faults.extend(unknown_field(path, name, value, definitions) for name, value in unknown)
    return {name: _complete(definition, config.get(name, _MISSING), _join(path, name), faults)
            for name, definition in definitions.items()}  # fmt: skip


def _complete(definition: Mapping[str, Any], value: object, path: str, faults: list[Fault]) -> Any:
    kind = definition["type"]
    if value is _MISSING and kind == "record" and definition.get("required"):
        value = {}
    elif value is _MISSING or (value is None and not definition.get("required")):
        value = copy.deepcopy(definition.get("default"))
    if kind == "record" and value is not None:
        return _complete_record(definition["fields"], _as_record(value), path, faults)
    if value is None:
        if definition.get("required"):
            faults.append(Fault(path, "", "is required"))
        return None
    if kind in {"array", "set"} and value == {}:
        value = []
    shown = "" if _holds_a_secret(definition) else _shown(value)
    if not _has_type(kind, value):
        faults.append(Fault(path, shown, f"must be {_article(kind)} {kind}{_form(definition)}"))
        return value
    if definition.get("referenceable") and is_vault_reference(value):
        return value
    faults.extend(Fault(path, shown, rule) for rule in _broken_rules(definition, value))
    return _complete_children(definition, value, path, faults)


def _complete_children(definition: Mapping[str, Any], value: Any, path: str, faults: list[Fault]) -> Any:
    if definition["type"] in {"array", "set"}:
        elements = {**definition["elements"], "required": True}
        return [_complete(elements, item, f"{path}[{n}]", faults) for n, item in enumerate(value, 1)]
    if definition["type"] == "map":
        values = {**definition["values"], "required": True}
        return {key: _complete(values, item, _join(path, key), faults) for key, item in value.items()}
    if definition["type"] == "integer":
        return int(value)
    return value


def _broken_rules(definition: Mapping[str, Any], value: Any) -> Iterator[str]:
    if "one_of" in definition and value not in definition["one_of"]:
        allowed = [str(one) for one in definition["one_of"]]
        yield f"must be one of {', '.join(allowed)}{did_you_mean(str(value), allowed)}"
    if "between" in definition:
        low, high = definition["between"]
        if not low <= value <= high:
            yield f"must be between {low} and {high}"
    if "match" in definition and not _matches(definition["match"], value):
        yield definition.get("err", f"must match {definition['match']}")
    if (least := definition.get("len_min", int(definition["type"] == "string"))) and len(value) < least:
        yield f"must have at least {least} characters or elements"
    if "len_max" in definition and len(value) > definition["len_max"]:
        yield f"must have at most {definition['len_max']} characters or elements"


def _matches(pattern: str, value: str) -> bool:
    # Kong reads `match` as a Lua pattern, this as a regular expression. The schemas keep to the syntax that
    # means the same in both: literals, `.`, `?`, `*`, `+`, `^`, `$` and plain character classes.
    return re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value, re.DOTALL) is not None


def _holds_a_secret(definition: Mapping[str, Any]) -> bool:
    inner = [definition.get("elements"), *(one for _, one in _definitions(definition.get("fields", ())))]
    return bool(definition.get("encrypted")) or any(map(_holds_a_secret, filter(None, inner)))


def _form(definition: Mapping[str, Any]) -> str:
    elements = definition.get("elements", {})
    if elements.get("type") == "record":
        return f" of records {{{', '.join(name for name, _ in _definitions(elements['fields']))}}}"
    if elements.get("type", "any") != "any":
        return f" of {elements['type']}s" + (f"; each {elements['err']}" if "err" in elements else "")
    # Units are in the descriptions of the fields, for people too.
    unit = re.search(r"\bin (milliseconds|seconds|bytes)\b", definition.get("description", ""))
    return f", in {unit[1]}" if unit else ""


def _has_type(kind: str, value: object) -> bool:
    if kind not in {"boolean", "any"} and isinstance(value, bool):
        return False
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPE_NAMES[kind])


def _definitions(fields: FieldList) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for field in fields:
        yield from field.items()


def _as_record(value: object) -> object:
    return {} if value is None or value == [] else value


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        # YAML has dates as keys, and integers of more digits than Python writes.
        return ""
