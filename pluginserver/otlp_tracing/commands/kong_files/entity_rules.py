"""Kong's rules for the services, routes and other entities of a declarative configuration.

One entity that breaks a rule makes Kong refuse the whole file: the gateway does not start.

Source: kong/db/schema/entities/, typedefs.lua and others/declarative_config.lua of Kong 3.4, 3.8 and 3.9, which
tests/kong_verdicts asks.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from otlp_tracing.commands.kong_files.entities import PLACEHOLDER, STREAM_PROTOCOLS
from otlp_tracing.commands.kong_files.entity_fields import FIELDS, NESTED, PROTOCOLS, REFERENCES
from otlp_tracing.commands.kong_files.entity_names import Entity, Names
from otlp_tracing.commands.kong_files.nodes import Node
from otlp_tracing.config.declaration import Field
from otlp_tracing.config.validation import complete, did_you_mean, unknown_field
from otlp_tracing.errors import Fault

_REQUIRED_AT_THE_TOP = {"targets": "upstream", "snis": "certificate"}
_UNIQUE = {
    "consumers": ("id", "username", "custom_id"),
    "certificates": ("id",),
    "targets": ("id", "target"),
    "vaults": ("id", "prefix"),
}
_HASH_INPUTS = {
    "header": "hash_on_header",
    "cookie": "hash_on_cookie",
    "query_arg": "hash_on_query_arg",
    "uri_capture": "hash_on_uri_capture",
}
_ROUTE_HEADER = re.compile("(?!(?i:host)$)[A-Za-z0-9_-]+")
_EXCLUSIVE = (("http", "https"), ("tcp", "tls", "udp"), ("tls_passthrough",), ("grpc", "grpcs"))
_MATCHING = ("methods", "hosts", "headers", "paths", "snis", "sources", "destinations")
_PROTOCOLS_WITHOUT_PATH = ("tcp", "tls", "udp", "grpc", "grpcs")
_FOR_TLS = ("client_certificate", "tls_verify", "tls_verify_depth", "ca_certificates")
_BROKEN_REGEX = (
    *("missing )", "unterminated", "unbalanced", "nothing to repeat"),
    *("bad character range", "multiple repeat"),
)
_LONGEST = 2048  # characters of a URL or a regular expression that are judged; more would take long
_URL = re.compile(r"(?:([A-Za-z0-9][A-Za-z0-9+.-]*):)?(?://(?:[^@/]*@)?([^/?]*?)(?::([^:\]/?]*))?(?=[/?]|$))?([^?]*).*")

Found = tuple[Node, Fault]
"""A fault, and the value that has it."""


def entity_faults(entities: Sequence[Entity], names: Names, *, is_deck: bool) -> Iterator[Found]:
    """Find every entity that Kong refuses.

    Args:
        entities: of a declarative configuration.
        names: of these entities.
        is_deck: the file is for decK, which may have the entity of a reference in another file.
    """
    yield from _second_ones(entities)
    for one in entities:
        value, path = one.node.value, one.path
        # decK's placeholders are not judged.
        filled_in = {name for name, text in value.items() if PLACEHOLDER in str(text)}
        value = {name: text for name, text in value.items() if name not in filled_in}
        faults = list(_rules_of(one.section, value, filled_in)) if one.section in FIELDS else []
        if is_deck:
            # It takes a few fields more, such as groups of a consumer.
            faults = [fault for fault in faults if fault.kind != "unknown"]
        else:
            faults += _reference_faults(one.section, value, names)
            if one.section in _REQUIRED_AT_THE_TOP and path.count("[") == 1:
                faults += _required_reference(_REQUIRED_AT_THE_TOP[one.section], value)
        for fault in faults:
            at = Node(None, *one.node.position(fault.field))
            yield at, Fault(f"{path}.{fault.field}" if fault.field else path, fault.value, fault.rule)


def _second_ones(entities: Iterable[Entity]) -> Iterator[Found]:
    firsts: dict[tuple[str, str], Entity] = {}
    for one in entities:
        value = one.node.value
        for field in _UNIQUE.get(one.section, ("id", "name")):
            key = value.get(field)
            if not isinstance(key, str) or (field == "target" and "id" in value):
                continue
            # Names of targets are unique within their upstream.
            scope = f"{one.path.rpartition('[')[0]} {value.get('upstream')}" if field == "target" else one.section
            first = firsts.setdefault((f"{scope}.{field}", key), one)
            if first is not one:
                rule = f"there are two {one.section} with the {field} {key}; the first is in line {first.node.line}"
                yield one.node.fields[field][0], Fault(f"{one.path}.{field}", "", rule)


def _reference_faults(section: str, value: Mapping[str, Any], names: Names) -> Iterator[Fault]:
    known = {name for one in FIELDS[section] for name in one} if section in FIELDS else {"consumer"}
    for field, other in REFERENCES.items():
        rule = broken_reference(field, value.get(field), names[other], f"one of the {other}") if field in known else ""
        if rule:
            yield Fault(field, "", rule)


def broken_reference(field: str, reference: Any, known: Mapping[str, Any], entity: str) -> str:
    """Return the rule that a reference to another entity breaks; empty for a sound one.

    Args:
        field: that has the reference.
        reference: a name, an id, or a mapping with the id; None for an unset field, which is sound.
        known: names and ids of the entities in the file.
        entity: the entity in words, with its article.
    """
    if reference is None:
        return ""
    key = reference.get("id") if isinstance(reference, dict) else reference
    if not isinstance(key, str) or not key:
        return f"must be the name or the id of {entity}"
    return "" if key in known else f"this file has no {field} {key}{did_you_mean(key, known)}"


def _required_reference(field: str, value: Mapping[str, Any]) -> Iterator[Fault]:
    if value.get(field) is None:
        yield Fault(field, "", f"is required: the name or the id of one of the {REFERENCES[field]}")


def _rules_of(section: str, value: Mapping[str, Any], filled_in: Set[str]) -> Iterator[Fault]:
    """Find the broken rules of one entity, whose fields in filled_in are not known yet."""
    fields = {name: one for field in FIELDS[section] for name, one in field.items()}
    known = [*fields, *NESTED.get(section, ())]
    # Fields that are left out have a default, but for these: thousands of entities take seconds.
    given: list[Field] = [
        {name: one} for name, one in fields.items() if name in value or (one.get("required") and "default" not in one)
    ]
    judged = {name: one for name, one in value.items() if name in fields}
    yield from (fault for fault in complete(given, judged)[1] if fault.field not in filled_in)
    yield from (unknown_field("", str(name), one, known) for name, one in value.items() if name not in known)
    if section == "services":
        yield from _service_faults(value, filled_in)
    elif section == "routes" and not filled_in & {"protocols", *_MATCHING}:
        yield from _route_faults(value)
    elif section == "consumers" and not filled_in & {"username", "custom_id"}:
        if value.get("username") is None and value.get("custom_id") is None:
            yield Fault("", "", "must have username or custom_id")
    elif section == "upstreams":
        needed = _HASH_INPUTS.get(str(value.get("hash_on")))
        if needed and value.get(needed) is None and needed not in filled_in:
            yield Fault("hash_on", "", f"goes with {needed}, which is missing")


def _service_faults(value: Mapping[str, Any], filled_in: Set[str]) -> Iterator[Fault]:
    protocol, path, url = value.get("protocol", "http"), value.get("path"), value.get("url")
    if isinstance(url, str) and url:
        found = _URL.fullmatch(url.partition("#")[0][:_LONGEST])
        scheme, host, port, path = found.groups() if found else (None, None, None, None)
        protocol = scheme or {"80": "http", "443": "https"}.get(port or "", "http")
        if not host:
            yield Fault("url", url, "must be http://host:port/path: it has no host")
            return
        if port is not None and not (port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
            yield Fault("url", url, "its port must be a number up to 65535")
        parts = {"protocol": protocol, "host": host, **({"path": path} if path else {})}
        for fault in complete([one for one in FIELDS["services"] if one.keys() & parts.keys()], parts)[1]:
            yield Fault("url", url, f"its {fault.field} {fault.rule}")
    elif value.get("host") is None and not filled_in & {"host", "url"}:
        yield Fault("host", "", "is required: a service needs host or url")
    field = "url" if url else "path"
    if isinstance(path, str) and "//" in path:
        yield Fault(field, path, "must not have empty segments (//)")
    if path and protocol in _PROTOCOLS_WITHOUT_PATH:
        yield Fault(field, str(path), f"must be left out: {protocol} has no path")
    if protocol in PROTOCOLS and protocol not in ("https", "tls"):
        for name in _FOR_TLS:
            if value.get(name) is not None:
                yield Fault(name, "", f"goes with https and tls alone; the protocol is {protocol}")


def _route_faults(value: Mapping[str, Any]) -> Iterator[Fault]:
    protocols = value.get("protocols", ["http", "https"])
    if not isinstance(protocols, list) or not protocols or not all(one in PROTOCOLS for one in protocols):
        return
    shown = ", ".join(protocols)
    if not any(set(protocols) <= set(one) for one in _EXCLUSIVE):
        yield Fault("protocols", "", f"{shown} cannot be in one route")
        return
    is_stream, is_grpc = protocols[0] in STREAM_PROTOCOLS, protocols[0] in {"grpc", "grpcs"}
    has_tls = any(one in {"https", "grpcs", "tls", "tls_passthrough"} for one in protocols)
    wrong = {"methods", "hosts", "headers", "paths"} if is_stream else {"sources", "destinations"}
    wrong |= ({"methods"} if is_grpc else set()) | (set() if has_tls else {"snis"})
    wrongly_set = [] if value.get("expression") else [one for one in sorted(wrong) if value.get(one) is not None]
    yield from (Fault(field, "", f"cannot be set for {shown}") for field in wrongly_set)
    if is_grpc and value.get("strip_path") is True:
        yield Fault("strip_path", "true", f"must be false for {shown}")
    usable = ["snis"] if protocols == ["tls_passthrough"] else [one for one in _MATCHING if one not in wrong]
    if not wrongly_set and not value.get("expression") and not any(value.get(one) for one in usable):
        yield Fault("", "", f"matches nothing: set one of {', '.join(usable)}")
    for number, path in enumerate(_items(value.get("paths")), 1):
        if isinstance(path, str) and (reason := _path_fault(path)):
            yield Fault(f"paths[{number}]", path, reason)
    for name in value["headers"] if isinstance(value.get("headers"), dict) else ():
        if not _ROUTE_HEADER.fullmatch(name):
            yield Fault("headers", "", "must be names of headers; Host is in hosts")


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _path_fault(path: str) -> str:
    if "//" in path:
        return "must not have empty segments (//)"
    if path.startswith("~"):
        return _regex_fault(path[1:])
    return "must not have . or .. as a segment" if {".", ".."} & set(path.split("/")) else ""


def _regex_fault(pattern: str) -> str:
    # Python's dialect is not Kong's: these faults are faults in both.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", pattern[:_LONGEST]))
    except re.error as error:
        is_possessive = error.msg == "multiple repeat" and re.search(r"[*+?}]\+", pattern)
        if len(pattern) < _LONGEST and error.msg.startswith(_BROKEN_REGEX) and not is_possessive:
            return f"must be a regular expression after ~: {error.msg}"
    except (RecursionError, OverflowError):
        pass
    return ""
