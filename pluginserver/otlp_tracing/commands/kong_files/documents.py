"""Plugin entries in files of every kind that carries them, each with its place in the file.

Reads declarative configurations (Kong's and decK's, with `_plugin_configs`), lists of entries, the Admin API's bodies
and answers, and KongPlugin and KongClusterPlugin manifests.

Source: kong/db/declarative/init.lua and kong/db/schema/others/declarative_config.lua of Kong 3.9.3; decK's file format.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from otlp_tracing.commands.kong_files.entities import DECK_SECTIONS, DECLARATION, NESTING
from otlp_tracing.commands.kong_files.entity_rules import FIELDS, broken_reference, entity_faults
from otlp_tracing.commands.kong_files.json_parser import read_json
from otlp_tracing.commands.kong_files.nodes import Node, UnreadableError
from otlp_tracing.commands.kong_files.yaml_parser import IS_KONG_CONF, read_yaml
from otlp_tracing.config.validation import complete
from otlp_tracing.errors import ConfigError, Fault

SUFFIXES = frozenset({".yml", ".yaml", ".json"})
PLACEHOLDER = "${{"
"""Begins a value that decK fills in; such a value cannot be checked."""
_MOST_BYTES = 64 << 20
_MANIFESTS = frozenset({"KongPlugin", "KongClusterPlugin"})
_REFERENCES = {"service": "services", "route": "routes", "consumer": "consumers", "consumer_group": "consumer_groups"}
_SCOPES = ("service", "route", "consumer")
_GROUPS = "consumer_groups"
_NAME_OF = {"consumers": "username"}

Place = tuple[int, int]
"""Line and column, from 1."""

_Parent = tuple[str, str]
"""The entity that an entry is nested in: its kind, and its id or `named` and its name; empty without either."""


@dataclass(frozen=True)
class Entry:
    """One entry of a plugin.

    Args:
        place: its scope in words: `service users, route orders`, or `global`.
        value: the entry; decK's shared configuration is merged into `config`.
        node: of the entry, for positions.
        scope: the names of its service, route and consumer, and the kinds of the entities that it is nested in.
        manifest: the KongPlugin that it is from; other objects decide its scope. None for other entries.
    """

    place: str
    value: Mapping[str, Any]
    node: Node
    scope: tuple[str, ...] = ()
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

    def without(self, plugin: str) -> tuple[Document, list[Entry]]:
        """Return the document without the entries of a plugin, and these entries."""
        taken = [one for one in self.entries if one.value.get("name") == plugin]
        return replace(self, entries=[one for one in self.entries if one not in taken]), taken


def read_documents(path: Path | None, is_wanted: Callable[[str], bool]) -> list[Document]:
    """Read a file's documents.

    Args:
        path: of the file; None reads stdin.
        is_wanted: tells from a plugin's name whether its entries are wanted.

    Raises:
        ConfigError: if it cannot be read, or is neither YAML nor JSON; the field is the place, `kong.yml:3:1`.
    """
    name, content = read_content(path)
    try:
        nodes = _nodes(content, name)
    except UnreadableError as error:
        raise ConfigError([Fault(f"{name}:{error.line}:{error.column}", "", error.reason)]) from error
    if not any(node.value is not None for node in nodes):
        raise ConfigError([Fault(f"{name}:1:1", "", "is empty")])
    # Kong reads the first document, even an empty one; kubectl skips every empty one.
    is_manifest = any(isinstance(node.value, dict) and "kind" in node.value for node in nodes)
    nodes = [node for number, node in enumerate(nodes) if node.value is not None or (number == 0 and not is_manifest)]
    documents = [_document(node, is_wanted, has_placeholders=PLACEHOLDER.encode() in content) for node in nodes]
    for number, one in enumerate(documents):
        one.is_ignored = number > 0 and _is_declaration(one.node)
    return documents


def read_content(path: Path | None) -> tuple[str, bytes]:
    """Read a file, or stdin; return its name and its bytes.

    Raises:
        ConfigError: if it cannot be read.
    """
    name = "-" if path is None else str(path)
    try:
        if path is None:
            return name, sys.stdin.buffer.read(_MOST_BYTES)
        with path.open("rb") as file:
            return name, file.read(_MOST_BYTES)
    except OSError as error:
        raise ConfigError([Fault(name, "", f"cannot be read: {error.strerror}")]) from error


def _nodes(content: bytes, name: str) -> list[Node]:
    # Kong reads a file by its suffix. It takes the body of a request for JSON first; stdin has no suffix either.
    text = content.decode("utf-8", "surrogateescape")
    if name.endswith(".json"):
        return [read_json(text)] if text.strip() else []
    if name == "-":
        try:
            return [read_json(text)]
        except UnreadableError:
            pass
    return read_yaml(content)


def _document(node: Node, is_wanted: Callable[[str], bool], *, has_placeholders: bool) -> Document:
    finder = _Finder(is_wanted, node)
    value = node.value
    if isinstance(value, list) and value:
        finder.document.is_known = any(map(_is_entry, value))
        finder.look_at(node, "plugins")
    elif not isinstance(value, dict):
        rule = "is not a declarative configuration: no record of fields at its top"
        is_conf = isinstance(value, str) and "=" in value
        finder.fault(node, "", IS_KONG_CONF if is_conf else rule)
        finder.document.is_known = False
    elif _is_declaration(node):
        finder.declaration(has_placeholders=has_placeholders)
    elif "kind" in value or "apiVersion" in value:
        finder.manifest(node)
    elif "data" in value:
        finder.look_at(node.fields["data"][1], "plugins")
    else:
        finder.add(node)
    return finder.document


def _is_declaration(node: Node | None) -> bool:
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


class _Finder:
    """Collects the entries of one document, and the faults around them."""

    def __init__(self, is_wanted: Callable[[str], bool], node: Node) -> None:
        self.document = Document(node=node)
        self._is_wanted = is_wanted
        self._node = node
        self._shared: Mapping[str, Any] = {}
        self._names: dict[str, dict[str, str]] | None = None
        self._first: dict[tuple[str, ...], tuple[int, bool]] = {}

    def fault(self, node: Node, field: str, rule: str) -> None:
        """Add a fault at the place of a value."""
        self.document.faults.append(((node.line, node.column), Fault(field, "", rule)))

    def declaration(self, *, has_placeholders: bool) -> None:
        """Find the entries of a kong.yml: at its top, in services and their routes, in consumers."""
        node, value = self._node, self._node.value
        known = {name for one in DECLARATION for name in one} | DECK_SECTIONS | {"consumer_groups"}
        if not value.keys() & known:
            self.document.is_known = False
            self.fault(node, "", "is not a declarative configuration of Kong")
            return
        self.document.is_deck = has_placeholders or bool(value.keys() & DECK_SECTIONS)
        shared = value.get("_plugin_configs")
        self._shared = shared if isinstance(shared, dict) else {}
        for fault in complete(DECLARATION, value)[1]:
            if not self.document.is_deck or _is_fault_to_deck(fault):
                self.fault(*self._top_fault(fault))
        for at, fault in entity_faults(node, PLACEHOLDER, is_deck=self.document.is_deck):
            self.document.faults.append(((at.line, at.column), fault))
        self._names = {kind: {} for kind in NESTING}
        for kind in NESTING:
            self._name_all(kind, node)
        self._entity(node, "", (), None)
        if "_format_version" not in value:
            # Compose files and charts have services and routes too.
            self.document.is_known = bool(self.document.entries)
        for section in node.fields.keys() - {"plugins", _GROUPS, *FIELDS}:
            for one in node.fields[section][1].items:
                if section[:1] != "_" and "plugins" in one.fields:
                    self.fault(one.fields["plugins"][0], "plugins", f"no such field in {section}")

    def _top_fault(self, fault: Fault) -> tuple[Node, str, str]:
        key = self._node.fields[fault.field][0] if fault.field in self._node.fields else self._node
        if fault.field == _GROUPS:
            return key, _GROUPS, "no such field: open-source Kong has no consumer groups"
        if fault.field.startswith("x-"):
            return key, fault.field, "no such field; put anchors into a list under _ignore"
        if fault.field == "_format_version":
            return key, fault.field, f'must be "3.0", in quotes{"" if fault.value else "; it is missing"}'
        return key, fault.field, fault.rule

    def _name_all(self, kind: str, node: Node) -> None:
        # A reference is a name or an id.
        names = (self._names or {})[kind]
        for number, one in enumerate(node.fields[kind][1].items if kind in node.fields else (), 1):
            if isinstance(one.value, dict):
                name = one.value.get(_NAME_OF.get(kind, "name"))
                for key in (name, one.value.get("id")):
                    if isinstance(key, str):
                        names[key] = str(name or number)
                if kind == "services":
                    self._name_all("routes", one)

    def _entity(self, node: Node, place: str, scope: tuple[str, ...], parent: _Parent | None) -> None:
        for key in node.twice:
            text = f"{key.value} is written twice; the last one counts"
            self.document.warnings.append(((key.line, key.column), text))
        for section in ("plugins", *NESTING, _GROUPS):
            if section in node.fields:
                self.look_at(node.fields[section][1], section, place, scope, parent)

    def look_at(
        self, node: Node, section: str, place: str = "", scope: tuple[str, ...] = (), parent: _Parent | None = None
    ) -> None:
        """Find the entries in a list of entries or entities."""
        if node.value is None or node.value == {}:
            return
        if not isinstance(node.value, list):
            self.fault(node, section, "must be an array of records")
            return
        for number, one in enumerate(node.items, 1):
            if not isinstance(one.value, dict):
                self.fault(one, f"{section}[{number}]", "must be a record")
            elif section == "plugins":
                self.add(one, place, scope, parent)
            else:
                kind = section[:-1].replace("_", " ")
                name, key = one.value.get(_NAME_OF.get(section, "name")), one.value.get("id")
                label = f"{kind} {name or key or number}"
                its_key = str(key) if key else f"named {name}" if name else ""
                self._entity(one, f"{place}, {label}" if place else label, (*scope, label), (kind, its_key))

    def add(self, node: Node, place: str = "", scope: tuple[str, ...] = (), parent: _Parent | None = None) -> None:
        """Add an entry, if it is one of the plugins'."""
        value = node.value
        if not isinstance(value.get("name"), str):
            self.fault(node, "name", "is required: the name of a plugin")
            return
        is_wanted = self._is_wanted(value["name"])
        for kind, rule in self._reference_faults(node, ("service", "route") if is_wanted else _SCOPES):
            self.fault(node.fields[kind][0], kind, rule)
        own = [f"{kind} {self._label(node, kind)}" for kind in _REFERENCES if value.get(kind)]
        scope = tuple(sorted({*scope, *own}))
        self._hold_unique(node, scope, parent, is_wanted=is_wanted)
        if not is_wanted:
            return
        if isinstance(shared := self._shared.get(str(value.get("_config"))), dict):
            config = value.get("config") or {}
            value = {**value, "config": {**shared, **config} if isinstance(config, dict) else config}
        words = ", ".join(filter(None, (place, *(one for one in own if one not in place)))) or "global"
        self.document.entries.append(Entry(words, value, node, scope))

    def _label(self, node: Node, kind: str) -> str:
        reference, keys = node.value[kind], ("id", "name", "username")
        if isinstance(reference, dict):
            reference = next((reference[one] for one in keys if reference.get(one)), None)
        return (self._names or {}).get(_REFERENCES[kind], {}).get(str(reference), str(reference))

    def _reference_faults(self, node: Node, kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
        # decK may have the service in another file, and takes {name: …}.
        if self._names is None or self.document.is_deck:
            return
        for kind in kinds:
            if rule := broken_reference(kind, node.value.get(kind), self._names[_REFERENCES[kind]], f"a {kind}"):
                yield kind, rule

    def _hold_unique(self, node: Node, scope: tuple[str, ...], parent: _Parent | None, *, is_wanted: bool) -> None:
        value, name = node.value, node.value["name"]
        keys: dict[str, tuple[str, ...]] = {
            one: (one, value[one]) for one in ("id", "instance_name") if isinstance(value.get(one), str)
        }
        same_scope = ("scope", name, *scope)
        if self._names is None or self.document.is_deck:
            keys["name"] = same_scope
        elif "id" not in keys and (identity := _identity(value, parent)):
            keys["name"] = ("identity", *identity)
        others = {one: self._first[key] for one, key in keys.items() if key in self._first}
        for one, (line, is_other_wanted) in others.items():
            if is_wanted or is_other_wanted:
                rule = f"is also that of the entry in line {line}" if one != "name" else _second(name, line)
                self.fault(node.fields.get(one, (node,))[0], one, rule)
        if is_wanted and not others and same_scope in self._first:
            text = f"{_second(name, self._first[same_scope][0])}; Kong takes both and runs one of them"
            self.document.warnings.append(((node.line, node.column), text))
        for key in (*keys.values(), same_scope):
            self._first.setdefault(key, (node.line, is_wanted))

    def manifest(self, node: Node) -> None:
        """Find the entry of a KongPlugin or KongClusterPlugin, or of those in a list of objects."""
        value = node.value
        if "items" in node.fields:
            for one in node.fields["items"][1].items:
                if isinstance(one.value, dict):
                    self.manifest(one)
        if not self._is_wanted(str(value.get("plugin"))):
            return
        self._metadata_faults(node)
        if value.get("kind") not in _MANIFESTS:
            self.fault(node.fields.get("kind", (node,))[0], "kind", f"must be one of: {', '.join(sorted(_MANIFESTS))}")
        else:
            metadata = value.get("metadata")
            name = metadata.get("name", "?") if isinstance(metadata, dict) else "?"
            entry = {"name": value.get("plugin")} | {
                key: one for key, one in value.items() if key not in {"plugin", "kind", "apiVersion", "metadata"}
            }
            self.document.entries.append(Entry(f"{value['kind']} {name}", entry, node, (), value))

    def _metadata_faults(self, node: Node) -> None:
        # `global: true` is a boolean in YAML.
        metadata = node.fields["metadata"][1] if "metadata" in node.fields else node
        for kind in ("labels", "annotations"):
            for name, (key, one) in metadata.fields[kind][1].fields.items() if kind in metadata.fields else ():
                if not isinstance(one.value, str):
                    self.fault(key, f"metadata.{kind}.{name}", "must be a text: put it in quotes")
        patches = node.fields["configPatches"][1].items if "configPatches" in node.fields else ()
        for number, patch in enumerate(patches, 1):
            if "path" in patch.fields and not str(patch.value["path"]).startswith("/"):
                self.fault(patch.fields["path"][0], f"configPatches[{number}].path", "must begin with /")


def _second(name: str, line: int) -> str:
    return f"is the second {name} entry of this scope; the first is in line {line}"


def _identity(value: Mapping[str, Any], parent: _Parent | None) -> tuple[str, ...] | None:
    """Return the text of which Kong makes an entry's id; a name and an id of one service are two texts.

    Source: build_cache_key in kong/db/schema/others/declarative_config.lua.
    """
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


def _is_fault_to_deck(fault: Fault) -> bool:
    if fault.field == "_format_version":
        return bool(fault.value)
    return "did you mean" in fault.rule and fault.field not in DECK_SECTIONS
