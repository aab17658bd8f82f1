"""Run a plugin of a plugin server for a request: its instance, its PDK, its event.

Joins `instances`, `pdk` and `plugin_chain`; has nothing of its own.
"""

from __future__ import annotations

from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.instances import ExternalPlugin
from otlp_tracing_devtools.fake_kong.pdk import Pdk
from otlp_tracing_devtools.fake_kong.plugin_chain import ConfiguredPlugin
from otlp_tracing_devtools.fake_kong.plugin_rpc import InstanceConfig


class ExternalRunner:
    """Runs one external plugin's phases in one worker."""

    def __init__(self, plugin: ExternalPlugin) -> None:
        self._plugin = plugin

    async def run(self, phase: str, context: RequestContext, plugin: ConfiguredPlugin) -> None:
        """See `PluginRunner`."""
        config = InstanceConfig(plugin.plugin.name, plugin.entry.id, plugin.sequence, plugin.config)
        await self._plugin.handle_event(config, phase, Pdk(context, phase, plugin.entry))
