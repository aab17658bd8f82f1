"""The entities of a declarative configuration, and the names and ids by which others refer to them.

Source: the foreign keys of kong/db/schema/entities/ and others/declarative_config.lua of Kong 3.9.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from otlp_tracing.commands.kong_files.entity_fields import CREDENTIALS, FIELDS, NESTED
from otlp_tracing.commands.kong_files.nodes import Node
from otlp_tracing.commands.kong_files.scope import EntityKey

SECTIONS = (*FIELDS, *CREDENTIALS)
"""The sections whose entities are found."""

_NAMED_BY: Mapping[str, str] = {"consumers": "username", "targets": "target", "vaults": "prefix"}

Names = Mapping[str, Mapping[str, "Entity"]]
"""The first entity with a name or an id, by section."""


@dataclass(frozen=True)
class Entity:
    """One entity.

    Args:
        section: such as routes.
        path: its place in the file: `services[1].routes[2]`.
        node: its value, a record.
        number: its position in its list, from 1.
    """

    section: str
    path: str
    node: Node
    number: int

    @property
    def label(self) -> str:
        """Return its name, or its number."""
        return str(self.node.value.get(name_field(self.section)) or self.number)


def key_of(section: str, node: Node) -> EntityKey:
    """Return the name of an entity, its id, or its place."""
    name = node.value.get(name_field(section)) or node.value.get("id")
    return str(name) if name else (node.line, node.column)


def name_field(section: str) -> str:
    """Return the field with the name of a section's entities."""
    return _NAMED_BY.get(section, "name")


def entities_of(top: Node) -> Iterator[Entity]:
    """Find the entities of a declarative configuration, also those within others, section by section."""
    for section in SECTIONS:
        yield from _entities(top, section, section)


def _entities(node: Node, section: str, path: str) -> Iterator[Entity]:
    items = node.fields[section][1].items if section in node.fields else ()
    for number, one in enumerate(items, 1):
        if isinstance(one.value, dict):
            yield Entity(section, f"{path}[{number}]", one, number)
            for inner in NESTED.get(section, ()):
                if inner in FIELDS:
                    yield from _entities(one, inner, f"{path}[{number}].{inner}")


def names_of(entities: Iterable[Entity]) -> Names:
    """Return the names and ids that a reference to an entity may have."""
    names: dict[str, dict[str, Entity]] = {section: {} for section in SECTIONS}
    for one in entities:
        for key in (one.node.value.get("id"), one.node.value.get(name_field(one.section))):
            if isinstance(key, str):
                names[one.section].setdefault(key, one)
    return names
