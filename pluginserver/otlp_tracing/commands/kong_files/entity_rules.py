"""Kong's rules for the services, routes and other entities of a declarative configuration.

One entity that breaks a rule makes Kong refuse the whole file: the gateway does not start. Fields that people seldom
set are known by their names alone; Kong itself judges their values.

Source: kong/db/schema/entities/, typedefs.lua and others/declarative_config.lua of Kong 3.4, 3.8 and 3.9, which
tests/kong_verdicts asks.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Set
from typing import Any

from otlp_tracing.commands.kong_files.entities import COMMON, HTTP_PROTOCOLS, NAME, STREAM_PROTOCOLS, UUID
from otlp_tracing.commands.kong_files.nodes import Node
from otlp_tracing.config.declaration import Field
from otlp_tracing.config.validation import complete, did_you_mean, unknown_field
from otlp_tracing.errors import Fault

_PROTOCOL = {"type": "string", "one_of": [*HTTP_PROTOCOLS, *STREAM_PROTOCOLS]}
_TIMEOUT = {"type": "integer", "between": [1, (1 << 31) - 2]}
_PORT = {"type": "integer", "between": [0, 65535], "default": 80, "required": True}
_BOOLEAN = {"type": "boolean"}
_FLAG = {"type": "boolean", "default": False, "required": True}
_TEXT = {"type": "string"}
_ANY = {"type": "any"}
_LABELS = r"(?![0-9.]+(?::|$))[A-Za-z0-9_-]*[A-Za-z0-9_](?:\.[A-Za-z0-9_-]*[A-Za-z0-9_])*\.?"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_IPV6 = r"\[?[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]?"
_AND_PORT = r"(?::(?:[0-5]?[0-9]{1,4}|6(?:[0-4][0-9]{3}|5(?:[0-4][0-9]{2}|5(?:[0-2][0-9]|3[0-5])))))?"
_HOST = {"type": "string", "match": f"^(?:{_LABELS}|{_IPV4}|{_IPV6})$",
         "err": "must be a host alone: no scheme, port or path"}  # fmt: skip
_ROUTE_HOST = {"type": "string", "match": rf"^(?:(?:\*\.)?{_LABELS}|{_LABELS}\.\*|{_IPV4}|{_IPV6}){_AND_PORT}$",
               "err": "must be a host, or *.host, or host.*; no scheme or path"}  # fmt: skip
_UPSTREAM_NAME = {"type": "string", "required": True, "match": f"^{_LABELS}$",
                  "err": "must be a host name without a port, and no IP address"}  # fmt: skip
_TARGET = {"type": "string", "required": True, "match": f"^(?:{_LABELS}|{_IPV4}|{_IPV6}){_AND_PORT}$",
           "err": "must be host, or host:port"}  # fmt: skip
_URL_PATH = {"type": "string", "match": r"^/(?:[A-Za-z0-9_.~/:@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*$",
             "err": "must begin with /, and have no other characters than a URL's path"}  # fmt: skip
_ROUTE_PATH = {"type": "string", "match": r"^~?/(?:[^%]|%[0-9A-Fa-f]{2})*$",
               "err": "must begin with /, or with ~/ as a regular expression"}  # fmt: skip
_PEM = {"type": "string", "required": True, "referenceable": True, "encrypted": True,
        "match": "^\\s*-----BEGIN .*$", "err": "must have the PEM text itself, from -----BEGIN on"}  # fmt: skip
_HASH_ON = {"type": "string", "one_of": [
    "none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"]}  # fmt: skip

FIELDS: Mapping[str, list[Field]] = {
    "services": [
        *COMMON, NAME, {"retries": {"type": "integer", "between": [0, 32767]}}, {"url": _TEXT},
        {"protocol": {**_PROTOCOL, "default": "http", "required": True}}, {"host": _HOST}, {"port": _PORT},
        {"path": _URL_PATH}, {"connect_timeout": _TIMEOUT}, {"write_timeout": _TIMEOUT}, {"read_timeout": _TIMEOUT},
        {"client_certificate": _ANY}, {"tls_verify": _BOOLEAN},
        {"tls_verify_depth": {"type": "integer", "between": [0, 64]}},
        {"ca_certificates": {"type": "array", "elements": UUID}}, {"enabled": {**_FLAG, "default": True}},
    ],
    "routes": [
        *COMMON, NAME,
        {"protocols": {"type": "set", "required": True, "len_min": 1, "default": ["http", "https"],
                       "elements": _PROTOCOL}},
        {"methods": {"type": "set", "elements": {"type": "string", "match": "^[A-Z]+$", "err": "must be in capitals"}}},
        {"hosts": {"type": "array", "elements": _ROUTE_HOST}}, {"paths": {"type": "array", "elements": _ROUTE_PATH}},
        {"headers": {"type": "map", "values": {"type": "array", "elements": _TEXT}}},
        {"snis": {"type": "set", "elements": _TEXT}}, {"sources": _ANY}, {"destinations": _ANY},
        {"https_redirect_status_code": {"type": "integer", "one_of": [426, 301, 302, 307, 308], "default": 426,
                                        "required": True}},
        {"strip_path": {**_FLAG, "default": True}}, {"preserve_host": _FLAG}, {"request_buffering": _FLAG},
        {"response_buffering": _FLAG}, {"regex_priority": {"type": "integer"}},
        {"path_handling": {"type": "string", "one_of": ["v0", "v1"]}}, {"service": _ANY},
        # With router_flavor=expressions in kong.conf.
        {"expression": _ANY}, {"priority": _ANY},
    ],
    "consumers": [*COMMON, {"username": _TEXT}, {"custom_id": _TEXT}],
    "upstreams": [
        *COMMON, {"name": _UPSTREAM_NAME},
        {"algorithm": {"type": "string",
                       "one_of": ["consistent-hashing", "least-connections", "round-robin", "latency"]}},
        {"slots": {"type": "integer", "between": [10, 1 << 16]}}, {"client_certificate": _ANY},
        {"healthchecks": {"type": "map", "values": _ANY}}, {"use_srv_name": _BOOLEAN},
        {"hash_on": _HASH_ON}, {"hash_fallback": _HASH_ON},
        *({name: _ANY} for name in (
            "hash_on_header", "hash_fallback_header", "hash_on_cookie",
            "hash_on_cookie_path", "hash_on_query_arg", "hash_fallback_query_arg", "hash_on_uri_capture",
            "hash_fallback_uri_capture", "host_header")),
    ],
    "targets": [*COMMON, {"target": _TARGET}, {"weight": {"type": "integer", "between": [0, 65535]}},
                {"upstream": _ANY}],
    "certificates": [*COMMON, {"cert": _PEM}, {"key": _PEM}, {"cert_alt": _ANY}, {"key_alt": _ANY}],
    "snis": [*COMMON, {"name": {"type": "string", "required": True}}, {"certificate": _ANY}],
    "ca_certificates": [*COMMON, {"cert": _PEM}, {"cert_digest": _ANY}],
    "vaults": [
        *COMMON, {"name": {**_TEXT, "required": True}}, {"description": _TEXT}, {"config": _ANY},
        {"prefix": {**_TEXT, "required": True, "match": "^[a-z][a-z0-9-]*[a-z0-9]$"}},
    ],
}  # fmt: skip
"""The fields of each kind of entity, without those for nested entities."""

NESTED: Mapping[str, tuple[str, ...]] = {
    "services": ("routes", "plugins", "filter_chains", "oauth2_tokens", "oauth2_authorization_codes"),
    "routes": ("plugins", "filter_chains"),
    "consumers": (
        *("plugins", "acls", "basicauth_credentials", "hmacauth_secrets", "jwt_secrets", "keyauth_credentials"),
        "oauth2_credentials",
    ),
    "upstreams": ("targets",),
    "certificates": ("snis", "services", "upstreams"),
}
"""Fields with entities that belong to the entity around them."""

REFERENCES = {
    "service": "services",
    "route": "routes",
    "consumer": "consumers",
    "upstream": "upstreams",
    "certificate": "certificates",
    "client_certificate": "certificates",
}
"""Fields that name another entity, and the section that must have it."""

_REQUIRED_AT_THE_TOP = {"targets": "upstream", "snis": "certificate"}
_UNIQUE = {
    "consumers": ("id", "username", "custom_id"),
    "certificates": ("id",),
    "targets": ("id", "target"),
    "vaults": ("id", "prefix"),
}
_CREDENTIALS = tuple(one for one in NESTED["consumers"] if one != "plugins")
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


def entity_faults(top: Node, placeholder: str, *, is_deck: bool) -> Iterator[Found]:
    """Find every entity that Kong refuses, in the sections of a declarative configuration.

    Args:
        top: the whole document.
        placeholder: begins a value that decK fills in; such a value is not judged.
        is_deck: the file is for decK, which may have the entity of a reference in another file.
    """
    entities = [one for section in (*FIELDS, *_CREDENTIALS) for one in _entities(top, section, section)]
    names: dict[str, dict[str, Node]] = {section: {} for section in FIELDS}
    for section, path, node in entities:
        yield from _second_ones(section, path, node, names)
    for section, path, node in entities:
        filled_in = {name for name, one in node.value.items() if placeholder in str(one)}
        value = {name: one for name, one in node.value.items() if name not in filled_in}
        faults = list(_rules_of(section, value, filled_in)) if section in FIELDS else []
        if is_deck:
            # It takes a few fields more, such as groups of a consumer.
            faults = [one for one in faults if not one.rule.startswith("no such field; there are")]
        else:
            faults += _reference_faults(section, value, names)
            if section in _REQUIRED_AT_THE_TOP and path.count("[") == 1:
                faults += _required_reference(_REQUIRED_AT_THE_TOP[section], value)
        for fault in faults:
            at = Node(None, *node.position(fault.field))
            yield at, Fault(f"{path}.{fault.field}" if fault.field else path, fault.value, fault.rule)


def _entities(node: Node, section: str, path: str) -> Iterator[tuple[str, str, Node]]:
    items = node.fields[section][1].items if section in node.fields else ()
    for number, one in enumerate(items, 1):
        if isinstance(one.value, dict):
            yield section, f"{path}[{number}]", one
            for inner in NESTED.get(section, ()):
                if inner in FIELDS:
                    yield from _entities(one, inner, f"{path}[{number}].{inner}")


def _second_ones(section: str, path: str, node: Node, names: dict[str, dict[str, Node]]) -> Iterator[Found]:
    for field in _UNIQUE.get(section, ("id", "name")):
        key = node.value.get(field)
        if not isinstance(key, str) or (field == "target" and "id" in node.value):
            continue
        # A target is one of its upstream; a custom_id is no name for references.
        scope = f"{path.rpartition('[')[0]} {node.value.get('upstream')}" if field == "target" else section
        known = names.setdefault(f"{scope}.{field}", {})
        if key in known:
            rule = f"there are two {section} with the {field} {key}; the first is in line {known[key].line}"
            yield node.fields[field][0], Fault(f"{path}.{field}", "", rule)
        known.setdefault(key, node)
        if section in FIELDS and field != "custom_id":
            names[section].setdefault(key, node)


def _reference_faults(
    section: str, value: Mapping[str, Any], names: Mapping[str, Mapping[str, Node]]
) -> Iterator[Fault]:
    known = {name for one in FIELDS.get(section, ({"consumer": _ANY},)) for name in one}
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
    if protocol in _PROTOCOL["one_of"] and protocol not in ("https", "tls"):
        for name in _FOR_TLS:
            if value.get(name) is not None:
                yield Fault(name, "", f"goes with https and tls alone; the protocol is {protocol}")


def _route_faults(value: Mapping[str, Any]) -> Iterator[Fault]:
    protocols = value.get("protocols", ["http", "https"])
    if not isinstance(protocols, list) or not protocols or not all(one in _PROTOCOL["one_of"] for one in protocols):
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
