"""Plugin entries that Kong takes for one another: with one id, one instance name, or one scope.

Source: build_cache_key in kong/db/schema/others/declarative_config.lua of Kong 3.9.3.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from otlp_tracing.commands.kong_files.nodes import Node
from otlp_tracing.commands.kong_files.scope import Scope

Parent = tuple[str, str]
"""The entity that an entry is nested in: its kind, and its id or `named` and its name; empty without either."""


class EntryDuplicates:
    """Remembers a file's entries of all plugins.

    Args:
        is_identity_exact: Kong's own identity counts, in which a name and an id of one service are two texts;
            otherwise, as for decK, the scope counts.
    """

    def __init__(self, *, is_identity_exact: bool) -> None:
        self._is_identity_exact = is_identity_exact
        self._first: dict[tuple[Hashable, ...], tuple[int, bool]] = {}

    def add(
        self, node: Node, scope: Scope, parent: Parent | None, *, is_wanted: bool
    ) -> Iterator[tuple[str, str, bool]]:
        """Compare an entry with those before it; give a field, a rule, and whether it is a fault.

        Args:
            node: of the entry, which has a name.
            scope: of the entry.
            parent: that it is nested in.
            is_wanted: findings about two unwanted entries are left to Kong.
        """
        value, name = node.value, node.value["name"]
        keys: dict[str, tuple[Hashable, ...]] = {
            one: (one, value[one]) for one in ("id", "instance_name") if isinstance(value.get(one), str)
        }
        same_scope = ("scope", name, scope)
        if not self._is_identity_exact:
            keys["name"] = same_scope
        elif "id" not in keys and (identity := _identity(value, parent)):
            keys["name"] = ("identity", *identity)
        others = {one: self._first[key] for one, key in keys.items() if key in self._first}
        for one, (line, is_other_wanted) in others.items():
            if is_wanted or is_other_wanted:
                yield one, f"is also that of the entry in line {line}" if one != "name" else _second(name, line), True
        if is_wanted and not others and same_scope in self._first:
            yield "", f"{_second(name, self._first[same_scope][0])}; Kong takes both and runs one of them", False
        for key in (*keys.values(), same_scope):
            self._first.setdefault(key, (node.line, is_wanted))


def _second(name: str, line: int) -> str:
    return f"is the second {name} entry of this scope; the first is in line {line}"


def _identity(value: Mapping[str, Any], parent: Parent | None) -> tuple[str, ...] | None:
    """Return the text of which Kong makes an entry's id; None if the entity around it has neither name nor id."""
    found: list[str] = [value["name"]]
    for kind in ("route", "service", "consumer"):
        if kind not in value:
            key = parent[1] if parent and parent[0] == kind else None
            if key == "":
                return None
            found.append(key or "")
        elif isinstance(value[kind], str):
            found.append(value[kind])
    return tuple(found)
