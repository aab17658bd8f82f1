"""The verdicts of real Kongs on declarative configurations, and the cases that are made of our own schema.

Each case is a file with otlp-tracing entries. Those named `schema/…` are made here, with a fault in a field of the
schema. The others are written by hand in testdata, with a fault in the entry, its scope, or the file's YAML or JSON.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from checkout import TESTDATA
from otlp_tracing.config.schema import SCHEMA

Case = tuple[str, bytes]
"""The file's name, whose suffix decides on YAML or JSON; and its content."""

VERDICTS = TESTDATA / "kong_verdicts.jsonl"
_GENERATED = "schema/"


@dataclass(frozen=True)
class Verdict:
    """What real Kongs say of a file, and the check.

    Args:
        name: of the file.
        content: of the file.
        accepted: by Kong 3.4, 3.8 and 3.9, which agree on every file.
        message: of Kong, for people.
        differs: the reason for which the check says the opposite, by intention; empty if it agrees.
    """

    name: str
    content: bytes
    accepted: bool = False
    message: str = ""
    differs: str = ""


def stored() -> list[Verdict]:
    """Return the stored verdicts."""
    return [_read(json.loads(line)) for line in VERDICTS.read_text().split("\n") if line]


def _read(row: dict[str, Any]) -> Verdict:
    content = base64.b64decode(row.pop("base64")) if "base64" in row else row.pop("text").encode()
    return Verdict(content=content, **row)


def store(verdicts: Iterable[Verdict]) -> None:
    """Write the verdicts."""
    with VERDICTS.open("w") as file:
        for one in verdicts:
            row: dict[str, Any] = {"name": one.name}
            try:
                row["text"] = one.content.decode()
            except UnicodeDecodeError:
                row["base64"] = base64.b64encode(one.content).decode()
            row["accepted"] = one.accepted
            row |= {key: text for key in ("message", "differs") if (text := getattr(one, key))}
            file.write(f"{json.dumps(row)}\n")


def cases() -> list[Verdict]:
    """Return every case: those made from the schema as it is now, and those written by hand."""
    by_hand = [one for one in stored() if not one.name.startswith(_GENERATED)]
    return [*_of_schema(), *by_hand]


def _of_schema() -> Iterator[Verdict]:
    for path, definition in _fields(SCHEMA, ""):
        for kind, value in _values(definition):
            plugins = [{"name": "otlp-tracing", "config": _nested(path, value)}]
            text = f'_format_version: "3.0"\nplugins: {json.dumps(plugins)}\n'
            yield Verdict(f"{_GENERATED}{path}/{kind}.yml", text.encode())


def _fields(fields: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, definition in (pair for field in fields for pair in field.items()):
        yield f"{path}{name}", definition
        if definition["type"] == "record":
            yield from _fields(definition["fields"], f"{path}{name}.")
        elif definition.get("elements", {}).get("type") == "record":
            yield from _fields(definition["elements"]["fields"], f"{path}{name}[].")


def _values(definition: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    kind = definition["type"]
    yield "null", None
    if kind == "record":
        yield from (("empty", {}), ("list", [1]), ("text", "x"), ("unknown", {"nosuch": 1}), ("empty list", []))
    elif kind == "array":
        element = definition["elements"]["type"]
        yield from (("empty", []), ("empty record", {}), ("record", {"a": 1}), ("null element", [None]))
        yield from (("scalar", "x" if element != "integer" else 500), ("nested", [[1]]))
        if element == "string":
            yield from (("empty element", [""]), ("number element", [1]))
        if "one_of" in definition["elements"]:
            yield from (("all", definition["elements"]["one_of"]), ("other", ["nosuch"]))
    elif kind == "string":
        yield from (("number", 5), ("list", ["x"]), ("boolean", True), ("empty", ""))
        if "one_of" in definition:
            yield from (
                ("good", definition["one_of"][-1]),
                ("other", "nosuch"),
                ("case", definition["one_of"][0].title()),
            )
        elif "match" in definition:
            yield "control", "a\x07b"
        if "len_max" in definition:
            yield from (("longest", "a" * definition["len_max"]), ("too long", "a" * (definition["len_max"] + 1)))
    elif kind == "boolean":
        yield from (("good", True), ("text", "true"), ("number", 1))
    else:
        low, high = definition["between"]
        yield from (
            ("low", low),
            ("high", high),
            ("below", low - 1),
            ("above", high + 1),
            ("text", str(low)),
            ("list", [low]),
        )
        yield from (("half", low + 0.5), ("boolean", False))


_REQUIRED: dict[str, dict[str, Any]] = {
    "resource_attributes": {"key": "a", "value": "b"},
    "sampling.rules": {"name": "a", "rate": 1},
    "sampling.tail_rules": {"name": "a", "rate": 1},
    "redaction.patterns": {"name": "a", "pattern": "b"},
    "redaction.modes": {"detector": "ip", "mode": "mask"},
    "span.attributes": {"name": "app.a", "source": "route_tag"},
}


def _nested(path: str, value: Any) -> Any:
    outer, _, inner = path.partition("[].")
    if inner:
        value = [{**_REQUIRED[outer], inner: value}]
    for name in reversed(outer.split(".")):
        value = {name: value}
    return value
