"""A plugin server's description of itself: run its query command, read the JSON.

Knows the dump's shape; starts no server and opens no socket.

Source: query_external_plugin_info in kong/runloop/plugin_servers/process.lua of Kong 3.9.1.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

from otlp_tracing.config.validation import FieldList
from otlp_tracing.errors import ConfigError, Fault

_QUERY_TIMEOUT_S = 60.0  # Kong waits for ever; a query that takes a minute is broken
_PROTOCOLS = ("MsgPack:1", "ProtoBuf:1")


@dataclass(frozen=True)
class PluginServerCommands:
    """A plugin server as kong.conf names it.

    Args:
        name: as in `pluginserver_names`.
        socket: the unix socket it listens on.
        query_cmd: prints the dump; run by a shell.
        start_cmd: runs the server; None when someone else does.
        environment: for start_cmd, as Kong's nginx_main_env passes it on; it gets nothing more.
    """

    name: str
    socket: Path
    query_cmd: str
    start_cmd: str | None = None
    environment: Mapping[str, str] = dataclass_field(default_factory=dict)


@dataclass(frozen=True)
class PluginDescription:
    """The first plugin of a dump, which is all that Kong 3.9 takes.

    `refused_scopes` are those its schema wants to be null: `consumer`, `route`, `service`.
    """

    name: str
    priority: int
    version: str
    phases: frozenset[str]
    fields: FieldList
    protocol: str
    refused_scopes: frozenset[str] = frozenset()


async def query(server: PluginServerCommands) -> PluginDescription:
    """Run the query command and read its output.

    Raises:
        ConfigError: it prints no dump, or one that is not supported here.
    """
    process = await asyncio.create_subprocess_shell(
        server.query_cmd, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _QUERY_TIMEOUT_S)
    except asyncio.TimeoutError:
        raise _fault(server, f"took longer than {_QUERY_TIMEOUT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # the shell and its children
            await process.wait()
    return parse_dump(server, output)


def parse_dump(server: PluginServerCommands, output: bytes) -> PluginDescription:
    """Read a dump: a bare list of plugins, or a map with Protocol and Plugins.

    Raises:
        ConfigError: the output as a whole is no JSON, names no plugin, or a protocol that Kong has not.
    """
    try:
        dump = json.loads(output)
    except ValueError as error:
        raise _fault(server, f"must print JSON and nothing else: {error}") from None
    protocol = dump.get("Protocol", _PROTOCOLS[0]) if isinstance(dump, dict) else _PROTOCOLS[0]
    plugins = dump.get("Plugins") if isinstance(dump, dict) else dump
    if protocol not in _PROTOCOLS:
        raise _fault(server, f"names the protocol {protocol}; the stand-in Kong speaks {' and '.join(_PROTOCOLS)}")
    if not isinstance(plugins, list) or not plugins or not isinstance(plugins[0], dict):
        raise _fault(server, "must print a list with at least one plugin")
    return _description(server, plugins[0], protocol)


def _description(server: PluginServerCommands, info: Mapping[str, Any], protocol: str) -> PluginDescription:
    name, priority, phases = info.get("Name"), info.get("Priority"), info.get("Phases")
    if not isinstance(name, str) or not isinstance(priority, int) or not isinstance(phases, list):
        raise _fault(server, "must print Name, Priority and Phases for its plugin")
    fields = _config_fields(info.get("Schema"))
    if fields is None:
        raise _fault(server, "must print a Schema whose fields hold the record config")
    for place in _misdescribed(fields, "config"):
        raise _fault(server, f"must describe {place} in 10 to 500 characters, or not at all")
    version, refused = str(info.get("Version")), _refused_scopes(info.get("Schema"))
    return PluginDescription(name, priority, version, frozenset(phases), fields, protocol, refused)


def _misdescribed(fields: object, place: str) -> Iterator[str]:
    """Find the descriptions that keep Kong from starting, also in a list's elements; kong/db/schema/metaschema.lua."""
    for field in fields if isinstance(fields, list) else ():
        for name, definition in field.items() if isinstance(field, dict) else ():
            if isinstance(definition, dict):
                description = definition.get("description")
                if isinstance(description, str) and not 10 <= len(description) <= 500:
                    yield f"{place}.{name}"
                inner = definition.get("elements", definition)
                yield from _misdescribed(inner.get("fields") if isinstance(inner, dict) else None, f"{place}.{name}")


def _refused_scopes(schema: object) -> frozenset[str]:
    """Find the foreign keys with `eq: null`; kong/db/schema/typedefs.lua, no_consumer."""
    fields = schema.get("fields") if isinstance(schema, dict) else None
    return frozenset(
        str(name)
        for field in (fields if isinstance(fields, list) else ())
        if isinstance(field, dict)
        for name, definition in field.items()
        if isinstance(definition, dict) and definition.get("eq", "") is None
    )


def _config_fields(schema: object) -> FieldList | None:
    fields = schema.get("fields") if isinstance(schema, dict) else None
    for entry in fields if isinstance(fields, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("config"), dict):
            found = entry["config"].get("fields")
            return [] if not found else found if isinstance(found, list) else None
    return None


def _fault(server: PluginServerCommands, rule: str) -> ConfigError:
    return ConfigError([Fault(f"pluginserver_{server.name}_query_cmd", server.query_cmd, rule)])
