"""An HTTP port that another program may have: tried again until it is free. Records of the unix socket need no port."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.metrics import LISTEN_FAILED
from otlp_tracing.sidecar.telemetry.registry import Metrics

_log = logging.getLogger("otlp_tracing.sidecar.live.http.http_port")

# When a Kong reload runs two server groups side by side, the port is free within ten seconds.
_PORT_SECONDS = 1.0
_TAKEN_SECONDS = 15.0  # a port that is taken for longer than a reload is worth a warning


@dataclass(frozen=True)
class HttpPort:
    """An HTTP port of the sidecar: of the live page and metrics, or of Kong's own queue.

    Args:
        option: that names the port.
        host: its address.
        port: likewise.
        metrics: count the attempts that failed.
        is_embedded: another group of Kong's may have the port until a reload is over.
    """

    option: str
    host: str
    port: int
    metrics: Metrics
    is_embedded: bool

    async def run(self, start: Callable[[], Awaitable[str]]) -> None:
        """Listen; `start` does it, and returns the log line for it. It raises OSError."""
        began, limited = time.monotonic(), LimitedLog(_log)
        while True:
            try:
                _log.info(await start())
            except OSError as error:
                self.metrics.add(LISTEN_FAILED, self.option)
                is_taken = error.errno == errno.EADDRINUSE
                rule = f"is taken by another process; name another with {self.option}" if is_taken else error.strerror
                is_reload = is_taken and self.is_embedded and time.monotonic() < began + _TAKEN_SECONDS
                say = limited.info if is_reload else limited.warning
                say("cannot listen, trying again: %s = %s:%d: %s", self.option, self.host, self.port, rule)
                await asyncio.sleep(_PORT_SECONDS)
            else:
                return
