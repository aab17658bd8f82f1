"""A plugin entry among others: Kong's ids of it and of its scope, and the key of its settings.

Kong adds the ids to the configuration that it hands over. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from otlp_tracing.config.settings import user_config

_PLUGIN_ID = "__plugin_id"  # Kong's id of the entry, which Kong adds to the configuration of an instance
_SCOPE = ("route_id", "service_id")  # which Kong adds too; a global entry has neither
_LONGEST_NAME = 64  # characters; Kong's ids have 36


def entry_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration for the sidecar: the user's fields, and Kong's ids of the entry and of its scope."""
    ids = dict(zip((_PLUGIN_ID, *_SCOPE), (entry_name(config), *entry_scope(config)), strict=True))
    return {**user_config(config), **{name: value for name, value in ids.items() if value}}


def entry_name(config: Mapping[str, Any]) -> str:
    """Return Kong's id of the entry; empty without an id, as outside of Kong."""
    return _kong_id(config, _PLUGIN_ID)


def entry_scope(config: Mapping[str, Any]) -> tuple[str, str]:
    """Return Kong's ids of the route and of the service that the entry belongs to; empty where it belongs to none."""
    route, service = (_kong_id(config, name) for name in _SCOPE)
    return route, service


def _kong_id(config: Mapping[str, Any], name: str) -> str:
    value = config.get(name)
    return value if isinstance(value, str) and len(value) <= _LONGEST_NAME else ""


def settings_key(config: Mapping[str, Any]) -> bytes:
    """Return the key of an entry, a digest of its configuration and Kong's id: 16 bytes, the same in every process.

    Two entries with equal configurations have different keys, because each has a budget of its own.
    """
    canonical = json.dumps(entry_config(config), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=16).digest()
