"""Read a declarative `kong.yml` into entities, and find every fault in it.

Knows Kong's file format and defaults; knows no plugin's configuration and opens no socket. Not read:
certificates, vaults, health checks, anything of streams.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from otlp_tracing.config.validation import complete
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing_devtools.fake_kong.entities import Declaration
from otlp_tracing_devtools.fake_kong.entity_building import DeclaredEntity, build, identify
from otlp_tracing_devtools.fake_kong.entity_schemas import CHILDREN, SCHEMAS

_IGNORED_TOP_LEVEL = frozenset({"_format_version", "_transform", "_comment", "_info"})
_IGNORED_FIELDS = frozenset({"healthchecks", "ordering", "created_at", "updated_at"})
_REFERENCES = {"service": "services", "route": "routes", "consumer": "consumers", "upstream": "upstreams"}


def read_declaration(path: Path) -> Declaration:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, is not YAML, or has faults; each with its place in the file.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([Fault(str(path), "", f"cannot be read: {error.strerror}")]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([Fault(str(path), "", f"is not YAML: {' '.join(str(error).split())}")]) from None
    return parse_declaration(content)


def parse_declaration(content: object, now_s: int | None = None) -> Declaration:
    """Turn a file's content into entities.

    Args:
        content: as YAML read it.
        now_s: the value of `created_at` and `updated_at`; Kong puts the time of loading there.

    Raises:
        ConfigError: with every fault.
    """
    if not isinstance(content, Mapping):
        raise ConfigError([Fault("kong.yml", "", "must be a map with _format_version")])
    faults = list(_top_level_faults(content))
    items = [item for kind in SCHEMAS for item in _collect(kind, content.get(kind), kind, None, faults)]
    _resolve_references(items, faults)
    for item in items:
        _complete(item, faults)
    if faults:
        raise ConfigError(faults)
    return build(items, int(time.time()) if now_s is None else now_s)


def _top_level_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    version = content.get("_format_version")
    if version != "3.0":
        yield Fault("_format_version", "" if version is None else str(version), 'must be "3.0"')
    for name in content:
        if name not in SCHEMAS and name not in _IGNORED_TOP_LEVEL:
            yield Fault(str(name), "", f"is not known to the stand-in Kong; it reads {', '.join(SCHEMAS)}")


def _collect(
    kind: str, entries: object, where: str, parent: tuple[str, str] | None, faults: list[Fault]
) -> Iterator[DeclaredEntity]:
    """Walk a list of entities and the entities nested in them; `parent` is the (field, id) a child refers to."""
    if entries is None:
        return
    if not isinstance(entries, list):
        faults.append(Fault(where, "", "must be a list"))
        return
    for number, entry in enumerate(entries, 1):
        place = f"{where}[{number}]"
        if not isinstance(entry, Mapping):
            faults.append(Fault(place, str(entry), "must be a map"))
            continue
        yield from _collect_one(kind, entry, place, parent, faults)


def _collect_one(
    kind: str, entry: Mapping[str, Any], where: str, parent: tuple[str, str] | None, faults: list[Fault]
) -> Iterator[DeclaredEntity]:
    fields = {str(name): value for name, value in entry.items() if name not in _IGNORED_FIELDS}
    config = fields.pop("config", None) if kind == "plugins" else None
    children = {child: fields.pop(child) for child in CHILDREN.get(kind, {}) if child in fields}
    for name in _REFERENCES.keys() & fields.keys():
        fields[name] = _reference(fields[name])
    if parent:
        fields[parent[0]] = parent[1]
    if kind != "plugins":  # a plugin's id comes from the entity it refers to, which is not resolved yet
        fields.setdefault("id", identify(kind, fields))
    item = DeclaredEntity(kind, where, fields, config)
    yield item
    for child, value in children.items():
        own = (CHILDREN[kind][child], item.fields["id"])
        yield from _collect(child, value, f"{where}.{child}", own, faults)


def _reference(value: object) -> object:
    """Accept `service: name`, `service: {name: …}` and `service: {id: …}`."""
    if isinstance(value, Mapping):
        return value.get("id") or value.get("name") or value.get("username")
    return value


def _complete(item: DeclaredEntity, faults: list[Fault]) -> None:
    """Fill in an entity's defaults, in place, and its id where it could not be known before."""
    if item.kind == "routes" and _for_grpc(item.fields):
        item.fields.setdefault("strip_path", False)
    fields, found = complete(SCHEMAS[item.kind], item.fields)
    faults.extend(replace(fault, field=f"{item.where}.{fault.field}") for fault in found)
    if item.kind == "services" and not (fields.get("url") or fields.get("host")):
        faults.append(item.fault("host", "", "is required, unless url is given"))
    if item.kind == "routes" and not found:
        faults.extend(_route_faults(item))
    item.fields.update(fields, id=fields.get("id") or identify(item.kind, fields))


def _for_grpc(route: Mapping[str, Any]) -> bool:
    protocols = route.get("protocols")
    return isinstance(protocols, Sequence) and bool({"grpc", "grpcs"} & {*map(str, protocols)})


def _route_faults(item: DeclaredEntity) -> Iterator[Fault]:
    """The fields that a gRPC route may not have; kong/db/schema/entities/routes_subschemas.lua."""
    if not _for_grpc(item.fields):
        return
    if {"http", "https"} & {*item.fields["protocols"]}:
        yield item.fault("protocols", ", ".join(item.fields["protocols"]), "must be of HTTP or of gRPC, not of both")
    for name in ("strip_path", "methods"):
        if item.fields.get(name):
            yield item.fault(name, str(item.fields[name]), "cannot be set when protocols is grpc or grpcs")


def _resolve_references(items: Sequence[DeclaredEntity], faults: list[Fault]) -> None:
    """Turn every reference by name into one by id, in place; no two entities may share a name."""
    known: dict[tuple[str, str], DeclaredEntity] = {}
    for item in items:
        for field in ("id", "name", "username"):
            name = item.fields.get(field)
            if not isinstance(name, str) or (item.kind == "plugins" and field == "name"):
                continue
            first = known.setdefault((item.kind, name), item)
            if first is not item and field != "id":
                faults.append(item.fault(field, name, f"is already taken by {first.where}"))
    for item in items:
        for field in _REFERENCES.keys() & item.fields.keys():
            name = item.fields[field]
            target = known.get((_REFERENCES[field], str(name)))
            if target is None:
                faults.append(item.fault(field, str(name), f"there is no such entity in {_REFERENCES[field]}"))
            else:
                item.fields[field] = target.fields["id"]
