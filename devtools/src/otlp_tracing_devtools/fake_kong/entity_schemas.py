"""The fields of a declarative file's entities, in Kong's schema language.

Only fields that the stand-in reads or may safely ignore, with Kong's defaults.

Source: kong/db/schema/entities/*.lua of Kong 3.9.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otlp_tracing.config.validation import FieldList

_STRINGS = {"type": "array", "elements": {"type": "string"}}
_TIMEOUT = {"type": "integer", "default": 60000, "between": [1, 2**31 - 2]}
_PORT = {"type": "integer", "between": [0, 65535]}
_HTTP = ["http", "https"]
_PROTOCOLS = [*_HTTP, "grpc", "grpcs"]


def _string(**rules: Any) -> dict[str, Any]:
    return {"type": "string", **rules}


def _flag(default: bool) -> dict[str, Any]:
    return {"type": "boolean", "required": True, "default": default}


_SERVICE: FieldList = [
    {"id": _string()},
    {"name": _string()},
    {"url": _string(match="^(https?|grpcs?)://[^/]+.*")},
    {"protocol": _string(default="http", one_of=_PROTOCOLS)},
    {"host": _string()},
    {"port": {**_PORT, "default": 80}},
    {"path": _string(match="^/.*")},
    {"retries": {"type": "integer", "default": 5, "between": [0, 32767]}},
    {"connect_timeout": _TIMEOUT},
    {"write_timeout": _TIMEOUT},
    {"read_timeout": _TIMEOUT},
    {"tags": _STRINGS},
    {"enabled": _flag(True)},
]

_ROUTE: FieldList = [
    {"id": _string()},
    {"name": _string()},
    {"service": _string()},
    {"protocols": {"type": "set", "elements": {"type": "string", "one_of": _PROTOCOLS}, "default": _HTTP}},
    {"methods": {"type": "set", "elements": {"type": "string", "match": "^[A-Z]+$"}}},
    {"hosts": _STRINGS},
    {"paths": {"type": "array", "elements": {"type": "string", "match": "^[~/].*", "err": "must start with / or ~/"}}},
    {"headers": {"type": "map", "keys": {"type": "string"}, "values": _STRINGS}},
    {"https_redirect_status_code": {"type": "integer", "default": 426, "one_of": [426, 301, 302, 307, 308]}},
    {"regex_priority": {"type": "integer", "default": 0}},
    {"strip_path": _flag(True)},
    {"path_handling": _string(default="v0", one_of=["v0"])},
    {"preserve_host": _flag(False)},
    {"request_buffering": _flag(True)},
    {"response_buffering": _flag(True)},
    {"tags": _STRINGS},
]

_UPSTREAM: FieldList = [
    {"id": _string()},
    {"name": _string(required=True)},
    {"algorithm": _string(default="round-robin", one_of=["round-robin"])},
    {"slots": {"type": "integer", "default": 10000, "between": [10, 65536]}},
    {"host_header": _string()},
    {"tags": _STRINGS},
]

_TARGET: FieldList = [
    {"id": _string()},
    {"upstream": _string()},
    {"target": _string(required=True, match="^.+$")},
    {"weight": {"type": "integer", "default": 100, "between": [0, 65535]}},
    {"tags": _STRINGS},
]

_CONSUMER: FieldList = [
    {"id": _string()},
    {"username": _string()},
    {"custom_id": _string()},
    {"tags": _STRINGS},
]

_CREDENTIAL: FieldList = [
    {"id": _string()},
    {"key": _string(required=True, referenceable=True)},
    {"consumer": _string()},
    {"tags": _STRINGS},
]

_PLUGIN: FieldList = [
    {"id": _string()},
    {"name": _string(required=True)},
    {"instance_name": _string()},
    {"enabled": _flag(True)},
    {"protocols": {"type": "set", "elements": {"type": "string"}}},
    {"service": _string()},
    {"route": _string()},
    {"consumer": _string()},
    {"tags": _STRINGS},
]

SCHEMAS: Mapping[str, FieldList] = {
    "services": _SERVICE,
    "routes": _ROUTE,
    "upstreams": _UPSTREAM,
    "targets": _TARGET,
    "consumers": _CONSUMER,
    "keyauth_credentials": _CREDENTIAL,
    "plugins": _PLUGIN,
}
"""Entity by its name at the top level of the file. A plugin's `config` has its own schema, elsewhere."""

CHILDREN: Mapping[str, Mapping[str, str]] = {
    "services": {"routes": "service", "plugins": "service"},
    "routes": {"plugins": "route"},
    "consumers": {"keyauth_credentials": "consumer", "plugins": "consumer"},
    "upstreams": {"targets": "upstream"},
}
"""Entities that may be nested in an entity, with the field that then refers to the parent."""
