"""A plugin server's process: started, its lines logged, started again when it ends.

Knows a command and a process; knows no protocol.

Source: pluginserver_timer in kong/runloop/plugin_servers/process.lua of Kong 3.9.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping

_log = logging.getLogger("otlp_tracing_devtools.fake_kong.plugin_server")
OUTPUT = logging.getLogger("otlp_tracing_devtools.fake_kong.plugin_server.output")
"""Has the lines of plugin servers, at INFO, as Kong logs them; Kong's default level hides them."""

_RESPAWN_S = 1.0  # process.lua: at most one start a second
_COMMAND_NOT_FOUND = 127
_STOP_S = 10.0  # between SIGTERM and SIGKILL; Kong waits for ever
_MAX_LINE_BYTES = 64 * 1024


class PluginProcess:
    """Keeps one start command running.

    Args:
        name: for the log.
        command: run by a shell.
        environment: the only variables that it gets.
    """

    def __init__(self, name: str, command: str, environment: Mapping[str, str]) -> None:
        self._name = name
        self._command = command
        self._environment = environment
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The running process, or None."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def start(self) -> None:
        """Start the process, and a task that watches it."""
        self._task = asyncio.get_running_loop().create_task(self._keep_running())

    async def stop(self) -> None:
        """Send SIGTERM, wait, and kill remaining processes after 10 s; its last lines are still logged."""
        if self._task is None:
            return
        self._stopping = True
        if self._process:
            await _end(self._process)
            _log.info("[%s] stopped", self._name)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            started_at = loop.time()
            code = await self._run_once()
            _log.info("[%s:%s] terminated with %d", self._name, self._process.pid if self._process else "", code)
            if code == _COMMAND_NOT_FOUND:
                _log.error("[%s] start command not found, not started again: %s", self._name, self._command)
                return
            await asyncio.sleep(max(0.0, started_at + _RESPAWN_S - loop.time()))

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_shell(
            f"exec {self._command}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_MAX_LINE_BYTES,
            # nginx empties its workers' environment, and worker 0 starts the plugin server.
            env={"PWD": os.getcwd(), **self._environment},
        )
        self._process = process
        _log.info("[%s:%d] started", self._name, process.pid)
        # As Kong does (process.lua, grab_logs): it waits for the pipe's end first, which a child of the
        # process can hold open after it.
        await self._log_lines(process)
        return await process.wait()

    async def _log_lines(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line over the limit: asyncio drops it
                continue
            if not line:
                return
            OUTPUT.info("[%s:%d] %s", self._name, process.pid, line.decode("utf-8", "replace").rstrip())


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except asyncio.TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
