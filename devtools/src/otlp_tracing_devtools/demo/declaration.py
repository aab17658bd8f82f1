"""The project's own `kong.yml`, fit for one machine: same routes, same plugins, local addresses.

The names in the file are those of a network of containers. Pure: a parsed file in, a changed copy out.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

BATCH_TIMEOUT_MS = 200


def localise(
    declaration: Mapping[str, Any], addresses: Mapping[str, str], *, traces_alone: bool = True
) -> dict[str, Any]:
    """Replace addresses, and have spans sent soon enough for a person that watches.

    Args:
        declaration: a parsed `kong.yml`.
        addresses: `host:port` in the file to `host:port` here.
        traces_alone: no metrics and no logs, which the receiver of the demo does not take.
    """
    local = copy.deepcopy(dict(declaration))
    for service in local.get("services") or []:
        service["url"] = _replaced(service["url"], addresses)
    for config in _tracing_configs(local):
        config["endpoint"] = _replaced(config["endpoint"], addresses)
        if traces_alone:
            config.pop("metrics", None)
            config.pop("logs", None)
        config.setdefault("batch_export", {})["timeout"] = BATCH_TIMEOUT_MS
    return local


def _tracing_configs(declaration: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    services = declaration.get("services") or []
    routes = [route for service in services for route in service.get("routes") or []]
    for owner in (declaration, *services, *routes):
        for plugin in owner.get("plugins") or []:
            if plugin["name"] == "otlp-tracing":
                yield plugin["config"]


def _replaced(url: str, addresses: Mapping[str, str]) -> str:
    address = urlsplit(url).netloc
    return url.replace(address, addresses.get(address, address), 1)
