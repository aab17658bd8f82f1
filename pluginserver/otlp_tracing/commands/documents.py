"""Plugin entries in files of every kind that carries them, each with its place in the file.

Reads declarative configurations (Kong's and decK's, with `_plugin_configs`), lists of entries, Admin API bodies,
and KongPlugin and KongClusterPlugin manifests, as YAML or JSON, several documents in a file. Scalars have the types
that Kong's parser gives them: a date is a string, 1e3 is a number.

Source: kong/db/declarative/init.lua of Kong 3.9.1, which reads with lyaml 6.2; decK's file format.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from otlp_tracing.errors import ConfigError, Fault

SUFFIXES = frozenset({".yml", ".yaml", ".json"})
PLACEHOLDER = "${{"
"""Begins a value that decK fills in; such a value cannot be checked."""
_MOST_NODES = 1_000_000  # of a document with its aliases written out
_MOST_BYTES = 64 << 20
_MANIFESTS = frozenset({"KongPlugin", "KongClusterPlugin"})
_SECTIONS = ("services", "routes", "consumers", "consumer_groups")
_CONF_RULE = "is not YAML; if this is kong.conf, name the kong.yml instead"
_KONG_CONF = re.compile(r"^\s*[a-z_]+ *= *\S", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One entry of a plugin.

    Args:
        place: its scope in words: `service users, route orders`, or `global`.
        value: the entry; decK's shared configuration is merged into `config`.
        node: of the entry, for positions.
        scope: its plugin, and the names of its service, route and consumer; a second entry with it is a duplicate.
        manifest: the KongPlugin that it is from; other objects decide its scope. None for other entries.
    """

    place: str
    value: Mapping[str, Any]
    node: MappingNode
    scope: tuple[str, ...]
    manifest: Mapping[str, Any] | None = None

    def position(self, field: str) -> tuple[int, int]:
        """Return line and column, from 1, of a field such as `config.sampling.rules[1].rate`, or of its parent."""
        return position(self.node, field)


@dataclass(frozen=True)
class Document:
    """One document of a file: its entries, and the faults that hide entries, by position."""

    entries: Sequence[Entry]
    faults: Sequence[tuple[tuple[int, int], Fault]]
    is_known: bool


class _Loader(yaml.SafeLoader):
    """YAML with the scalar types of Kong's parser."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+"), list("-+0123456789")
)


def read_documents(path: Path | None, plugins: Sequence[str]) -> list[Document]:
    """Read a file's documents.

    Args:
        path: of the file; None reads stdin.
        plugins: names of the wanted plugins.

    Raises:
        ConfigError: if it cannot be read, or is neither YAML nor JSON; the field is the place, `kong.yml:3:1`.
    """
    name, text = read_text(path)
    try:
        nodes = list(yaml.compose_all(text, _Loader))
        return [_document(node, plugins) for node in nodes if node is not None] or [_empty(name)]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ConfigError([Fault(place, "", _reason(error, text, mark))]) from error
    except (RecursionError, ValueError) as error:
        reason = "is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigError([Fault(name, "", reason)]) from error


def read_text(path: Path | None) -> tuple[str, str]:
    """Read a file, or stdin; return its name and its text, in which JSON has no tabs.

    Raises:
        ConfigError: if it cannot be read.
    """
    name = "-" if path is None else str(path)
    try:
        if path is None:
            content = sys.stdin.buffer.read(_MOST_BYTES)
        else:
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError([Fault(name, "", f"cannot be read: {reason}")]) from error
    if "\t" in text and text.lstrip()[:1] in {"{", "["}:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return name, text
        return name, text.replace("\t", " ")  # a tab is white space to JSON, which has none within strings
    return name, text


def position(node: Node, field: str) -> tuple[int, int]:
    """Return line and column, from 1, of a field below a node; of the nearest parent that is there."""
    mark = node.start_mark
    for name, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", field):
        if number and isinstance(node, SequenceNode) and 0 < int(number) <= len(node.value):
            node = node.value[int(number) - 1]
            mark = node.start_mark
        elif not number and isinstance(node, MappingNode) and (pair := _pair(node, name)):
            mark, node = pair[0].start_mark, pair[1]
        else:
            break
    return mark.line + 1, mark.column + 1


def _pair(node: MappingNode, name: str) -> tuple[Node, Node] | None:
    # The last of several counts, as it does for Kong.
    return next((pair for pair in reversed(node.value) if getattr(pair[0], "value", None) == name), None)


def _empty(name: str) -> Document:
    raise ConfigError([Fault(name, "", "is empty")])


def _reason(error: yaml.YAMLError, text: str, mark: yaml.Mark | None) -> str:
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab; YAML is indented with spaces"
    if len(_KONG_CONF.findall(text)) > text.count(": "):
        return _CONF_RULE
    return f"is not YAML: {getattr(error, 'problem', None) or 'it holds characters that YAML does not allow'}"


def _document(node: Node, plugins: Sequence[str]) -> Document:
    finder = _Finder(plugins)
    value = _value(node, [0], ())
    if isinstance(node, SequenceNode) and isinstance(value, list):
        finder.look_at(value, node, "plugins", "", ())
        return Document(finder.entries, finder.faults, any(map(_is_entry, value)))
    if not isinstance(node, MappingNode) or not isinstance(value, dict):
        is_conf = isinstance(value, str) and _KONG_CONF.search(value)
        rule = _CONF_RULE if is_conf else "is not a declarative configuration: no record of fields at its top"
        return Document([], [(position(node, ""), Fault("", "", rule))], is_known=False)
    if "kind" in value or "apiVersion" in value:
        finder.manifest(value, node)
    elif _is_entry(value):
        finder.add(value, node, "", ())
    else:
        finder.declaration(value, node)
    return Document(finder.entries, finder.faults, finder.is_known)


def _is_entry(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and not value.keys() & {"plugins", "url", "paths"}
    )


def _value(node: Node, count: list[int], parents: tuple[int, ...]) -> Any:
    count[0] += 1
    if count[0] > _MOST_NODES:
        raise ValueError("has too many values")
    if id(node) in parents:
        raise ValueError(f"line {node.start_mark.line + 1} refers to itself")
    inner = (*parents, id(node))
    if isinstance(node, SequenceNode):
        return [_value(one, count, inner) for one in node.value]
    if isinstance(node, MappingNode):
        merged: dict[Any, Any] = {}
        pairs = [(str(key.value), _value(value, count, inner)) for key, value in node.value]
        for _, value in (pair for pair in pairs if pair[0] == "<<"):
            for one in value if isinstance(value, list) else [value]:
                merged |= one if isinstance(one, dict) else {}
        return merged | {key: value for key, value in pairs if key != "<<"}
    return _scalar(node)


def _scalar(node: Node) -> Any:
    kind = node.tag.rpartition(":")[2]
    try:
        if kind in {"null", "bool", "int", "float"}:
            return getattr(yaml.constructor.SafeConstructor(), f"construct_yaml_{kind}")(node)
    except (ValueError, KeyError):
        pass  # `!!int x`, or digits with underscores alone: a text that no number is
    return node.value


class _Finder:
    """Collects the entries of one document."""

    def __init__(self, plugins: Sequence[str]) -> None:
        self.entries: list[Entry] = []
        self.faults: list[tuple[tuple[int, int], Fault]] = []
        self.is_known = True
        self._plugins = plugins
        self._shared: Mapping[str, Any] = {}

    def declaration(self, value: Mapping[str, Any], node: MappingNode) -> None:
        """Find the entries of a kong.yml: at its top, in services and their routes, in consumers and their groups."""
        self.is_known = bool(value.keys() & {"_format_version", "plugins", "_plugin_configs", *_SECTIONS})
        if not self.is_known:
            self.faults.append((position(node, ""), Fault("", "", "is not a declarative configuration of Kong")))
        elif str(value.get("_format_version")) not in {"1.1", "2.1", "3.0"}:
            self.faults.append((position(node, "_format_version"), Fault("_format_version", "", 'must be "3.0"')))
        shared = value.get("_plugin_configs")
        self._shared = shared if isinstance(shared, dict) else {}
        self._entity(value, node, "", ())

    def _entity(self, value: Mapping[str, Any], node: Node, place: str, scope: tuple[str, ...]) -> None:
        for section in ("plugins", *_SECTIONS):
            self.look_at(value.get(section), _child(node, section), section, place, scope)

    def look_at(self, found: object, node: Node | None, section: str, place: str, scope: tuple[str, ...]) -> None:
        """Find the entries in a list of entries or entities."""
        if found is None or node is None:
            return
        if not isinstance(found, list) or not isinstance(node, SequenceNode):
            self.faults.append((position(node, ""), Fault(section, "", "must be an array of records")))
            return
        for number, (one, its_node) in enumerate(zip(found, node.value, strict=True), 1):
            if not isinstance(one, dict) or not isinstance(its_node, MappingNode):
                self.faults.append((position(its_node, ""), Fault(f"{section}[{number}]", "", "must be a record")))
            elif section == "plugins":
                self.add(one, its_node, place, scope)
            else:
                kind = section[:-1].replace("_", " ")
                name = f"{kind} {one.get('name', one.get('username', one.get('id', number)))}"
                self._entity(one, its_node, f"{place}, {name}" if place else name, (*scope, name))

    def add(self, value: Mapping[str, Any], node: MappingNode, place: str, scope: tuple[str, ...]) -> None:
        """Add an entry, if it is one of the plugins'."""
        if value.get("name") not in self._plugins:
            return
        own = [f"{kind} {_named(value[kind])}" for kind in ("service", "route", "consumer", "consumer_group")
               if value.get(kind)]  # fmt: skip
        if isinstance(shared := self._shared.get(str(value.get("_config"))), dict):
            config = value.get("config") or {}
            value = {**value, "config": {**shared, **config} if isinstance(config, dict) else config}
        words = ", ".join(filter(None, (place, *own))) or "global"
        self.entries.append(Entry(words, value, node, (str(value["name"]), *sorted({*scope, *own}))))

    def manifest(self, value: Mapping[str, Any], node: MappingNode) -> None:
        """Find the entry of a KongPlugin or KongClusterPlugin, or of those in a list of objects."""
        items, item_nodes = value.get("items"), _child(node, "items")
        if isinstance(items, list) and isinstance(item_nodes, SequenceNode):
            for one, its_node in zip(items, item_nodes.value, strict=True):
                if isinstance(one, dict) and isinstance(its_node, MappingNode):
                    self.manifest(one, its_node)
        if value.get("kind") in _MANIFESTS and value.get("plugin") in self._plugins:
            metadata = value.get("metadata")
            name = metadata.get("name", "?") if isinstance(metadata, dict) else "?"
            entry = {"name": value["plugin"]} | {
                key: one for key, one in value.items() if key not in {"plugin", "kind", "apiVersion", "metadata"}
            }
            self.entries.append(Entry(f"{value['kind']} {name}", entry, node, (), value))


def _child(node: Node, name: str) -> Node | None:
    pair = _pair(node, name) if isinstance(node, MappingNode) else None
    return pair[1] if pair else None


def _named(reference: object) -> str:
    if isinstance(reference, dict):
        return str(reference.get("name", reference.get("username", reference.get("id", "?"))))
    return str(reference)


def duplicate_keys(node: Node) -> Iterator[tuple[tuple[int, int], str]]:
    """Find the fields of a record, and of the records in it, that are written twice."""
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen and name != "<<":
                yield position(key, ""), name
            seen.add(name)
            yield from duplicate_keys(value)
    elif isinstance(node, SequenceNode):
        for one in node.value:
            yield from duplicate_keys(one)
