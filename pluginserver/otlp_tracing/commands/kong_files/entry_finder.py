"""Finds the plugin entries of a document, wherever its kind may have them, and the faults around them.

The kinds: declarative configurations (Kong's and decK's, with `_plugin_configs`), lists of entries, the Admin API's
bodies and answers, and KongPlugin and KongClusterPlugin manifests.

Source: kong/db/declarative/init.lua and kong/db/schema/others/declarative_config.lua of Kong 3.9.3; decK's file format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from otlp_tracing.commands.kong_files.declaration_rules import declaration_faults
from otlp_tracing.commands.kong_files.documents import Document, Entry
from otlp_tracing.commands.kong_files.entities import DECK_SECTIONS, DECLARATION, GROUPS, NESTING
from otlp_tracing.commands.kong_files.entity_names import Names, entities_of, key_of, name_field, names_of
from otlp_tracing.commands.kong_files.entity_rules import broken_reference, entity_faults
from otlp_tracing.commands.kong_files.entry_duplicates import EntryDuplicates, Parent
from otlp_tracing.commands.kong_files.manifests import add_manifest
from otlp_tracing.commands.kong_files.nodes import Node
from otlp_tracing.commands.kong_files.scope import EntityKey, Scope
from otlp_tracing.commands.kong_files.yaml_parser import IS_KONG_CONF

_REFERENCES = {"service": "services", "route": "routes", "consumer": "consumers", "consumer_group": GROUPS}
_SCOPES = ("service", "route", "consumer")
_GLOBAL = Scope()


def find_entries(node: Node, is_wanted: Callable[[str], bool], *, has_placeholders: bool) -> Document:
    """Find the entries of the wanted plugins.

    Args:
        node: the whole document.
        is_wanted: tells from a plugin's name whether its entries are wanted.
        has_placeholders: the file has values that decK fills in.
    """
    value = node.value
    if is_declaration(node):
        return _of_declaration(node, is_wanted, has_placeholders=has_placeholders)
    document = Document(node=node)
    finder = _Finder(document, is_wanted)
    if isinstance(value, list) and value:
        document.is_known = any(map(_is_entry, value))
        finder.look_at(node, "plugins")
    elif not isinstance(value, dict):
        rule = "is not a declarative configuration: no record of fields at its top"
        is_conf = isinstance(value, str) and "=" in value
        document.add_fault(node, "", IS_KONG_CONF if is_conf else rule)
        document.is_known = False
    elif "kind" in value or "apiVersion" in value:
        add_manifest(document, node, is_wanted)
    elif "data" in value:
        finder.look_at(node.fields["data"][1], "plugins")
    else:
        finder.add(node)
    return document


def is_declaration(node: Node | None) -> bool:
    """Tell whether a document is a declarative configuration, which Kong or decK reads."""
    value = node.value if node else None
    return isinstance(value, dict) and not (
        value.keys() & {"kind", "apiVersion"} or ("data" in value and "next" in value) or _is_entry(value)
    )


def _is_entry(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and not value.keys() & {"plugins", "url", "paths"}
    )


def _of_declaration(node: Node, is_wanted: Callable[[str], bool], *, has_placeholders: bool) -> Document:
    value, document = node.value, Document(node=node)
    if not value.keys() & ({name for one in DECLARATION for name in one} | DECK_SECTIONS | {GROUPS}):
        document.is_known = False
        document.add_fault(node, "", "is not a declarative configuration of Kong")
        return document
    document.is_deck = has_placeholders or bool(value.keys() & DECK_SECTIONS)
    entities = list(entities_of(node))
    names = names_of(entities)
    for at, fault in (
        *declaration_faults(node, is_deck=document.is_deck),
        *entity_faults(entities, names, is_deck=document.is_deck),
    ):
        document.faults.append(((at.line, at.column), fault))
    shared = value.get("_plugin_configs")
    finder = _Finder(document, is_wanted, names, shared if isinstance(shared, dict) else {})
    finder.look_into(node)
    if "_format_version" not in value:
        # Compose files and charts have services and routes too.
        document.is_known = bool(document.entries)
    return document


class _Finder:
    """Adds the entries of one document to it.

    Args:
        document: that gets the entries and the faults.
        is_wanted: tells from a plugin's name whether its entries are wanted.
        names: of the file's entities; None if the document is no declarative configuration.
        shared: configurations that decK merges into those of entries, by name.
    """

    def __init__(
        self,
        document: Document,
        is_wanted: Callable[[str], bool],
        names: Names | None = None,
        shared: Mapping[str, Any] | None = None,
    ) -> None:
        self._document = document
        self._is_wanted = is_wanted
        self._names = names or {}
        self._shared = shared or {}
        # decK may have the service in another file, and takes {name: …}.
        self._has_all_names = names is not None and not document.is_deck
        self._duplicates = EntryDuplicates(is_identity_exact=self._has_all_names)

    def look_into(
        self, node: Node, labels: tuple[str, ...] = (), scope: Scope = _GLOBAL, parent: Parent | None = None
    ) -> None:
        """Find the entries in an entity, or in the whole file."""
        for key in node.twice:
            text = f"{key.value} is written twice; the last one counts"
            self._document.warnings.append(((key.line, key.column), text))
        for section in ("plugins", *NESTING, GROUPS):
            if section in node.fields:
                self.look_at(node.fields[section][1], section, labels, scope, parent)

    def look_at(
        self,
        node: Node,
        section: str,
        labels: tuple[str, ...] = (),
        scope: Scope = _GLOBAL,
        parent: Parent | None = None,
    ) -> None:
        """Find the entries in a list of entries or entities."""
        if node.value is None or node.value == {}:
            return
        if not isinstance(node.value, list):
            self._document.add_fault(node, section, "must be an array of records")
            return
        for number, one in enumerate(node.items, 1):
            if not isinstance(one.value, dict):
                self._document.add_fault(one, f"{section}[{number}]", "must be a record")
            elif section == "plugins":
                self.add(one, labels, scope, parent)
            else:
                field = section[:-1]
                kind = field.replace("_", " ")
                name, key = one.value.get(name_field(section)), one.value.get("id")
                label = f"{kind} {name or key or number}"
                its_key = str(key) if key else f"named {name}" if name else ""
                its_scope = replace(scope, **{field: key_of(section, one)})
                self.look_into(one, (*labels, label), its_scope, (kind, its_key))

    def add(
        self, node: Node, labels: tuple[str, ...] = (), scope: Scope = _GLOBAL, parent: Parent | None = None
    ) -> None:
        """Add an entry, if it is one of the plugins'."""
        value = node.value
        if not isinstance(value.get("name"), str):
            self._document.add_fault(node, "name", "is required: the name of a plugin")
            return
        is_wanted = self._is_wanted(value["name"])
        if self._has_all_names:
            self._judge_references(node, is_wanted=is_wanted)
        own = {kind: self._referred(node, kind) for kind in _REFERENCES if value.get(kind)}
        scope = replace(scope, **{kind: key for kind, (key, _) in own.items()})
        for field, rule, is_fault in self._duplicates.add(node, scope, parent, is_wanted=is_wanted):
            if is_fault:
                self._document.add_fault(node.fields.get(field, (node,))[0], field, rule)
            else:
                self._document.warnings.append(((node.line, node.column), rule))
        if not is_wanted:
            return
        if isinstance(shared := self._shared.get(str(value.get("_config"))), dict):
            config = value.get("config") or {}
            value = {**value, "config": {**shared, **config} if isinstance(config, dict) else config}
        labels = tuple(dict.fromkeys((*labels, *(f"{kind} {label}" for kind, (_, label) in own.items()))))
        words = ", ".join(labels) or "global"
        self._document.entries.append(Entry(words, value, node, scope))

    def _referred(self, node: Node, kind: str) -> tuple[EntityKey, str]:
        """Return the entity that an entry names, and its label."""
        reference, keys = node.value[kind], ("id", "name", "username")
        if isinstance(reference, dict):
            reference = next((reference[one] for one in keys if reference.get(one)), None)
        entity = self._names.get(_REFERENCES[kind], {}).get(str(reference))
        return (key_of(entity.section, entity.node), entity.label) if entity else (str(reference), str(reference))

    def _judge_references(self, node: Node, *, is_wanted: bool) -> None:
        # The consumer of a wanted entry is another rule's.
        for kind in _SCOPES[:2] if is_wanted else _SCOPES:
            if rule := broken_reference(kind, node.value.get(kind), self._names[_REFERENCES[kind]], f"a {kind}"):
                self._document.add_fault(node.fields[kind][0], kind, rule)
