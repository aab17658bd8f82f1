"""Loads a plugin file and describes it as Kong's `pluginserver_*_query_cmd` must.

Source: kong/runloop/plugin_servers/process.lua of Kong 3.9.1 (query_external_plugin_info).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from kong_pdk.module import Module

from otlp_tracing.errors import ConfigError, Fault

# The plugin runs before the consumer is known (kong/db/schema/typedefs.lua, no_consumer).
_NO_CONSUMER = {"consumer": {"type": "foreign", "reference": "consumers", "eq": None}}


def load(path: Path) -> Module:
    """Load a plugin; its name is the file's.

    Raises:
        ConfigError: if it is not there or does not load.
    """
    try:
        return Module(path.stem, path=str(path))
    except Exception as error:
        raise ConfigError([Fault("plugin", str(path), f"cannot be loaded: {error}")]) from error


def schema_of(module: Module) -> dict[str, Any]:
    """Return a plugin's schema in Kong's schema language: its name and the fields of an entry."""
    config = {"config": {"type": "record", "required": True, "fields": module.schema}}
    return {"name": module.name, "fields": [_NO_CONSUMER, config]}


def describe(
    module: Module, protocol: str = "msgpack", omitted: Collection[str] = ()
) -> list[dict[str, Any]] | dict[str, Any]:
    """Return the description, to be written as JSON and alone on stdout.

    Args:
        module: the plugin.
        protocol: msgpack, which a bare list means to Kong, or protobuf, which has to be said.
        omitted: phases of the plugin that Kong is not to run.
    """
    plugins = [
        {
            "Name": module.name,
            "Phases": [phase for phase in module.phases if phase not in omitted],
            "Priority": module.priority,
            "Version": module.version,
            "Schema": schema_of(module),
        }
    ]
    return {"Protocol": "ProtoBuf:1", "Plugins": plugins} if protocol == "protobuf" else plugins
