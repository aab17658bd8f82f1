"""Run the plugins of a request, phase by phase: rewrite, access, and log after the answer.

Knows which errors end a phase and the client's answer to each; knows no socket.

Source: kong/init.lua of Kong 3.9.1: execute_global_plugins_iterator, execute_collecting_…, execute_collected_….
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from otlp_tracing_devtools.fake_kong.answers import OwnAnswer, error_answer
from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.log_record import serialize
from otlp_tracing_devtools.fake_kong.plugin_chain import ConfiguredPlugin, PluginChain
from otlp_tracing_devtools.fake_kong.plugin_rpc import PluginError, RequestExited

_log = logging.getLogger("otlp_tracing_devtools.fake_kong.phases")

_MAX_LOG_TASKS = 4096  # lua_max_running_timers, Kong's default: further timers are dropped, with a line


class Phases:
    """The plugin phases of one worker."""

    def __init__(self, chain: PluginChain) -> None:
        self._chain = chain
        self._log_tasks: set[asyncio.Task[None]] = set()

    async def rewrite(self, context: RequestContext) -> OwnAnswer | None:
        """Run global plugins' rewrite; an answer ends the request."""
        for plugin in self._chain.global_plugins():
            if "rewrite" in plugin.plugin.phases:
                answer = await _run(plugin, "rewrite", context)
                if answer:
                    return answer
        return None

    async def access(self, context: RequestContext, collected: list[ConfiguredPlugin]) -> OwnAnswer | None:
        """Run access in order of priority; the first answer ends it. Every plugin that applies is collected."""
        context.plugins_collected = True
        answer: OwnAnswer | None = None
        for plugin in self._chain.for_request(context):
            collected.append(plugin)
            if answer is None and "access" in plugin.plugin.phases:
                answer = await _run(plugin, "access", context)
        return answer

    def log(self, context: RequestContext, collected: Sequence[ConfiguredPlugin]) -> None:
        """Start every log phase on a snapshot, each on its own; before access it is global plugins only."""
        plugins = collected if context.plugins_collected else [*self._chain.global_plugins()]
        for plugin in plugins:
            if "log" not in plugin.plugin.phases:
                continue
            if len(self._log_tasks) >= _MAX_LOG_TASKS:
                _log.error("[%s] log: %d are running, this one is dropped", plugin.plugin.name, _MAX_LOG_TASKS)
                continue
            self._start_log(plugin, context)

    def _start_log(self, plugin: ConfiguredPlugin, context: RequestContext) -> None:
        try:
            snapshot = context.snapshot(serialize(context))
        except PluginError as error:
            _log.error("[%s] log: %s", plugin.plugin.name, error)
            return
        task = asyncio.get_running_loop().create_task(_run_log(plugin, snapshot))
        self._log_tasks.add(task)
        task.add_done_callback(self._log_tasks.discard)

    async def stop(self, grace_s: float) -> None:
        """Let running log phases end within `grace_s`, then end them."""
        if self._log_tasks:
            await asyncio.wait(self._log_tasks, timeout=grace_s)
        for task in self._log_tasks:
            task.cancel()
        await asyncio.gather(*self._log_tasks, return_exceptions=True)


async def _run(plugin: ConfiguredPlugin, phase: str, context: RequestContext) -> OwnAnswer | None:
    try:
        await plugin.plugin.runner.run(phase, context, plugin)
    except RequestExited as exited:
        context.exited = True
        return OwnAnswer(exited.status, exited.body or b"", exited.headers)
    except PluginError as error:
        _log.error("[%s] %s: %s", plugin.plugin.name, phase, error)
        context.unexpected = True
        return error_answer(context, 500)
    return None


async def _run_log(plugin: ConfiguredPlugin, snapshot: RequestContext) -> None:
    try:
        await plugin.plugin.runner.run("log", snapshot, plugin)
    except (PluginError, RequestExited) as error:
        _log.error("[%s] lua entry thread aborted: runtime error: %s", plugin.plugin.name, error)
