"""Plugin instances of one worker: started at the first use of a configuration, started again when lost.

Knows when to start and close; knows no protocol and no plugin's meaning.

Source: get_instance_id and reset_instance in kong/runloop/plugin_servers/plugin.lua of Kong 3.9.1, and in init.lua of
3.4.2.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from otlp_tracing_devtools.fake_kong.plugin_rpc import InstanceConfig, PdkCaller, PluginError, PluginRpc, RpcError
from otlp_tracing_devtools.fake_kong.readiness import Readiness

_log = logging.getLogger("otlp_tracing_devtools.fake_kong.plugins")

_CLAIM_WAIT_S = 10.0  # plugin.lua, WAIT_TIME
_MAX_RESTARTS = 1000  # of one event; Kong has no bound and would spin for ever


@dataclass
class _Instance:
    """A claim on a configuration's instance; `started` is not set while one is being started."""

    sequence: int
    started: asyncio.Event
    id: Any = None


class ExternalPlugin:
    """One plugin of a plugin server, with its instances in one worker.

    Args:
        name: the plugin's.
        rpc: speaks to its server.
        readiness: of the server, as Kong 3.4 looks; None for a Kong that does not look.
    """

    def __init__(self, name: str, rpc: PluginRpc, readiness: Readiness | None = None) -> None:
        self.name = name
        self.rpc = rpc
        self._readiness = readiness
        rpc.on_new_server = self.reset
        self._instances: dict[str, _Instance] = {}

    async def handle_event(self, config: InstanceConfig, phase: str, pdk: PdkCaller) -> None:
        """Run one phase, again with a new instance where the old one is lost.

        Over MessagePack an error the server answers, or its absence, is logged and passed over.

        Raises:
            PluginError: no instance could be started, the protocol was broken, or a PDK call threw; over
                ProtoBuf also when the server cannot be asked. Kong has no bound for the repetition of an
                event and spins for ever on a server that always closes; here it ends with this.
            RequestExited: the plugin answered the client.
        """
        for _ in range(_MAX_RESTARTS):
            try:
                instance_id = await self._instance_id(config)
                await self.rpc.handle_event(instance_id, phase, pdk)
                return
            except RpcError as error:
                if not any(words in str(error).lower() for words in self.rpc.lost_words):
                    if self.rpc.errors_end_requests:
                        raise PluginError(f"pluginserver error: {error}") from None
                    _log.error("[%s] %s: %s", self.name, phase, error)
                    return
                _log.warning("[%s] %s", self.name, error)
                self.reset()
        raise PluginError(f"the event was repeated {_MAX_RESTARTS} times, and its instance was lost each time")

    def reset(self) -> None:
        """Forget every instance: the server that held them is gone."""
        self._instances.clear()

    async def _instance_id(self, config: InstanceConfig) -> Any:
        instance = self._instances.get(config.key)
        while instance and not instance.started.is_set():
            instance = await self._wait_for_claim(config, instance)
        if instance and instance.sequence == config.sequence:
            return instance.id
        return await self._start(config, instance)

    async def _wait_for_claim(self, config: InstanceConfig, instance: _Instance) -> _Instance | None:
        try:
            await asyncio.wait_for(instance.started.wait(), _CLAIM_WAIT_S)
        except asyncio.TimeoutError:
            if self._readiness is None:
                self._instances.pop(config.key, None)
            raise RpcError(f"Could not claim instance_id for {self.name} (key: {config.key})") from None
        return self._instances.get(config.key)

    async def _start(self, config: InstanceConfig, previous: _Instance | None) -> Any:
        claim = _Instance(config.sequence, asyncio.Event())
        self._instances[config.key] = claim
        self._check_readiness(config)
        try:
            claim.id = await self.rpc.start_instance(config)
        except BaseException:
            if self._instances.get(config.key) is claim:
                del self._instances[config.key]
            raise
        finally:
            claim.started.set()
        if previous:
            await self.rpc.close_instance(previous.id)
        return claim.id

    def _check_readiness(self, config: InstanceConfig) -> None:
        """Let the request pass while a Kong 3.4 has not reached the server. If it gave up, the claim stays."""
        if self._readiness is None or self._readiness.is_ready:
            return
        if self._readiness.is_dead:
            raise RpcError("no such file or directory")
        del self._instances[config.key]
        raise RpcError(f"plugin server is not ready, {self.name} will not be executed in this request")
