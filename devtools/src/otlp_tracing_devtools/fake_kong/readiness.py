"""Whether a plugin server is up, as Kong 3.1 to 3.4 looks at its start.

Each worker connects every 0.1 s for at most 20 s. Until that works, requests pass without the plugin. After 20 s
the plugin is dead for as long as the worker lives.

Source: connection_check_timer in kong/runloop/plugin_servers/process.lua of Kong 3.4.2.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

_STEP_S = 0.1
_LIMIT_S = 20.0


class Readiness:
    """The look of one worker at one plugin server; `is_ready` and `is_dead` are both false while it looks."""

    def __init__(self, socket: Path, limit_s: float = _LIMIT_S) -> None:
        self._socket = socket
        self._limit_s = limit_s
        self._task: asyncio.Task[None] | None = None
        self.is_ready = False
        self.is_dead = False

    def start(self) -> None:
        """Look from now on. Without this call the server is never ready, as without a `start_cmd`."""
        self._task = asyncio.get_running_loop().create_task(self._probe())

    async def stop(self) -> None:
        """Stop looking."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _probe(self) -> None:
        for _ in range(round(self._limit_s / _STEP_S)):
            try:
                _, writer = await asyncio.open_unix_connection(str(self._socket))
            except OSError:
                await asyncio.sleep(_STEP_S)
            else:
                writer.close()
                self.is_ready = True
                return
        self.is_dead = True
