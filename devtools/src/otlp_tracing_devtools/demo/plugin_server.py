"""The real plugin server, `otlp-tracing serve`, as a child of the demo, with its worker and its sidecar.

Its error output is kept in a file of Kong's prefix and shown only if something fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout

from otlp_tracing.errors import TracingError
from otlp_tracing.paths import command_line
from otlp_tracing_devtools.demo import child
from otlp_tracing_devtools.demo.ports import Port
from otlp_tracing_devtools.fake_kong import PluginServerCommands

_SOCKET_NAME = "otlp-tracing.socket"

_READY_S = 20.0  # three Python processes start, on a machine that may be busy
_POLL_S = 0.05
_TAIL_LINES = 12


class PluginServerError(TracingError):
    """The plugin server did not come up, or ended on its own."""


class PluginServer:
    """The process group of `otlp-tracing serve`.

    Args:
        prefix: an empty folder in the role of Kong's prefix.
        http: where its sidecar answers.
    """

    def __init__(self, prefix: Path, http: Port) -> None:
        self._prefix = prefix
        self._http = http
        self._log = prefix / "plugin-server.log"
        self._socket = prefix / _SOCKET_NAME

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it until the block ends.

        Raises:
            PluginServerError: it is not ready within a bound.
        """
        process = await self._start()
        try:
            await self._until_ready(process)
            yield
        finally:
            await child.stop(process)

    @property
    def commands(self) -> PluginServerCommands:
        """Its settings in kong.conf; it runs already, so there is nothing to start."""
        unset = [word for name in child.tracing_variables(os.environ) for word in ("-u", name)]
        command = shlex.join(["env", *unset, *command_line("dump")])
        return PluginServerCommands("otlp-tracing", self._socket, f"{command} 2>>{shlex.quote(str(self._log))}")

    def log_tail(self) -> str:
        """Give the end of its output."""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])

    async def metrics(self) -> str:
        """Give the text of its sidecar's /metrics.

        Raises:
            PluginServerError: it does not answer.
        """
        return await self._get("/metrics")

    async def _start(self) -> asyncio.subprocess.Process:
        command = command_line(
            "serve", "--kong-prefix", str(self._prefix), "--socket-name", _SOCKET_NAME, "--http", self._http.address
        )
        self._http.hand_over()
        return await child.start(command, self._log)

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _READY_S
        while process.returncode is None:
            with contextlib.suppress(PluginServerError):
                await self._get("/readyz")
                return
            if loop.time() > deadline:
                raise PluginServerError(f"the plugin server was not ready within {_READY_S:.0f} s")
            await asyncio.sleep(_POLL_S)
        raise PluginServerError(f"the plugin server ended with {process.returncode} as it started")

    async def _get(self, path: str) -> str:
        try:
            async with (
                ClientSession(timeout=ClientTimeout(total=0.5)) as session,
                session.get(self._http.url + path, raise_for_status=True) as answer,
            ):
                return await answer.text()
        except (ClientError, OSError, asyncio.TimeoutError) as error:
            raise PluginServerError(f"{self._http.url}{path} does not answer") from error
