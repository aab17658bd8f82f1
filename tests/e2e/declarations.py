"""Declarative configurations in few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Entity = Mapping[str, Any]


def tracing(endpoint: str, **config: Any) -> Entity:
    """Make a plugin entry of otlp-tracing that sends soon enough for a test."""
    return {"name": "otlp-tracing", "config": {"endpoint": endpoint, "batch_export": {"timeout": 100}, **config}}


def service(name: str, url: str, plugins: Sequence[Entity] = (), **fields: Any) -> Entity:
    """Make a service with one route, /NAME, which the upstream does not see."""
    route = {"name": f"{name}-route", "paths": [f"/{name}"]}
    return {"name": f"{name}-service", "url": url, "routes": [route], "plugins": list(plugins), **fields}


def declaration(*services: Entity, plugins: Sequence[Entity] = (), **entities: Any) -> Entity:
    """Make a whole configuration."""
    return {"_format_version": "3.0", "services": list(services), "plugins": list(plugins), **entities}
