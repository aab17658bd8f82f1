"""A document of a file of Kong's, with the plugin entries that were found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from otlp_tracing.commands.kong_files.nodes import Node
from otlp_tracing.commands.kong_files.scope import Scope
from otlp_tracing.errors import Fault

Place = tuple[int, int]
"""Line and column, from 1."""


@dataclass(frozen=True)
class Entry:
    """One entry of a plugin.

    Args:
        place: its scope in words, for a person: `service users, route orders`, or `global`.
        value: the entry; decK's shared configuration is merged into `config`.
        node: of the entry, for positions.
        scope: the entities that it names or is nested in; without any it is global, or that of a manifest.
        manifest: the KongPlugin that it is from; other objects decide its scope. None for other entries.
    """

    place: str
    value: Mapping[str, Any]
    node: Node
    scope: Scope = field(default_factory=Scope)
    manifest: Mapping[str, Any] | None = None

    def position(self, path: str) -> Place:
        """Return the place of a field such as `config.sampling.rules[1].rate`, or of its parent."""
        return self.node.position(path)


@dataclass
class Document:
    """One document of a file.

    Args:
        entries: of the wanted plugins.
        faults: of the file around them, by place.
        warnings: about it.
        is_known: it is of a kind that carries plugin entries.
        is_ignored: Kong does not read it, because it is not the first of its file.
        is_deck: it is for decK: Kong itself would refuse fields in it.
        node: the whole document.
    """

    entries: list[Entry] = field(default_factory=list)
    faults: list[tuple[Place, Fault]] = field(default_factory=list)
    warnings: list[tuple[Place, str]] = field(default_factory=list)
    is_known: bool = True
    is_ignored: bool = False
    is_deck: bool = False
    node: Node | None = None

    def add_fault(self, node: Node, field: str, rule: str) -> None:
        """Add a fault at the place of a value."""
        self.faults.append(((node.line, node.column), Fault(field, "", rule)))

    def without(self, plugin: str) -> tuple[Document, list[Entry]]:
        """Return the document without the entries of a plugin, and these entries."""
        taken = [one for one in self.entries if one.value.get("name") == plugin]
        return replace(self, entries=[one for one in self.entries if one not in taken]), taken
