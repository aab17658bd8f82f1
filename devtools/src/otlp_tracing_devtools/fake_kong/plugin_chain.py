"""Which plugins run for a request, in which order, with which configuration.

Knows entries, priorities and schemas; knows neither how a plugin runs nor its work.

Source: kong/runloop/plugins_iterator.lua of Kong 3.9.1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from otlp_tracing.config.validation import FieldList, complete
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.entities import DEFAULT_WORKSPACE_ID, PluginEntry
from otlp_tracing_devtools.fake_kong.vault import resolve
from otlp_tracing_devtools.fake_kong.version import CONFIG_WORKSPACE, NEWEST, Version


class PluginRunner(Protocol):
    """Runs a plugin's phases."""

    async def run(self, phase: str, context: RequestContext, plugin: ConfiguredPlugin) -> None:
        """Run one phase.

        Raises:
            PluginError: the phase threw.
            RequestExited: the plugin answered the client.
        """


@dataclass(frozen=True)
class Plugin:
    """A plugin the gateway has; `fields` are its configuration's, None when any is accepted.

    `refused_scopes` are scopes that an entry of it must not have: `consumer`, `route`, `service`.
    """

    name: str
    priority: int
    phases: frozenset[str]
    fields: FieldList | None
    runner: PluginRunner
    refused_scopes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ConfiguredPlugin:
    """One entry with its plugin; `config` is complete, with Kong's own keys such as `__seq__`."""

    plugin: Plugin
    entry: PluginEntry
    sequence: int
    config: Mapping[str, Any]


class PluginChain:
    """Every configured plugin, highest priority first."""

    def __init__(
        self, entries: Sequence[PluginEntry], plugins: Mapping[str, Plugin], version: Version = NEWEST
    ) -> None:
        """Check and complete every entry's configuration.

        Raises:
            ConfigError: an entry names a plugin that is not there, or its configuration has faults.
        """
        sequence = itertools.count(1)
        faults: list[Fault] = []
        configured = [_configure(entry, plugins, next(sequence), faults, version) for entry in entries]
        if faults:
            raise ConfigError(faults)
        self._by_name: dict[str, list[ConfiguredPlugin]] = {}
        for plugin in sorted(filter(None, configured), key=lambda one: (-one.plugin.priority, one.plugin.name)):
            self._by_name.setdefault(plugin.plugin.name, []).append(plugin)

    def global_plugins(self) -> Iterator[ConfiguredPlugin]:
        """Give the entries that apply to every request, also where no route matched."""
        for entries in self._by_name.values():
            yield from (one for one in entries if _specificity(one.entry) == 0)

    def for_request(self, context: RequestContext) -> Iterator[ConfiguredPlugin]:
        """Give one entry per plugin, the most specific; asked plugin by plugin, since the consumer may change."""
        for entries in self._by_name.values():
            fitting = [one for one in entries if _applies(one.entry, context)]
            if fitting:
                yield max(fitting, key=lambda one: _specificity(one.entry))


def _configure(
    entry: PluginEntry, plugins: Mapping[str, Plugin], sequence: int, faults: list[Fault], version: Version
) -> ConfiguredPlugin | None:
    plugin = plugins.get(entry.name)
    if plugin is None:
        rule = "is no plugin of Kong's, nor one of a plugin server given here"
        faults.append(Fault(f"{entry.where}.name", entry.name, rule))
        return None
    scopes = {"consumer": entry.consumer_id, "route": entry.route_id, "service": entry.service_id}
    for scope in sorted(plugin.refused_scopes & {name for name, value in scopes.items() if value}):
        faults.append(Fault(f"{entry.where}.{scope}", "", "must be null: the plugin's schema refuses this scope"))
    config: dict[str, Any] = dict(entry.config)
    if plugin.fields is not None:
        config, found = complete(plugin.fields, entry.config)
        faults.extend(replace(fault, field=f"{entry.where}.config.{fault.field}") for fault in found)
        if found:
            return None
        config = resolve(plugin.fields, config)
    return ConfiguredPlugin(plugin, entry, sequence, config | _own_keys(entry, sequence, version))


def _own_keys(entry: PluginEntry, sequence: int, version: Version) -> dict[str, Any]:
    """Kong's additions to a configuration before a plugin gets it: transcripts 16 and 43."""
    keys = {
        "__seq__": sequence,
        "__key__": entry.cache_key,
        "__plugin_id": entry.id,
        "__ws_id": DEFAULT_WORKSPACE_ID if version >= CONFIG_WORKSPACE else None,
        "route_id": entry.route_id,
        "service_id": entry.service_id,
        "consumer_id": entry.consumer_id,
    }
    return {name: value for name, value in keys.items() if value is not None}


def _applies(entry: PluginEntry, context: RequestContext) -> bool:
    route, service, consumer = context.route, context.service, context.consumer
    return (
        entry.route_id in {None, route.id if route else None}
        and entry.service_id in {None, service.id if service else None}
        and entry.consumer_id in {None, consumer.id if consumer else None}
    )


def _specificity(entry: PluginEntry) -> int:
    """A consumer outweighs a route, a route a service: kong/runloop/plugins_iterator.lua, lookup order."""
    return 4 * bool(entry.consumer_id) + 2 * bool(entry.route_id) + bool(entry.service_id)
