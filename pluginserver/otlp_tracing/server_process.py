"""A worker process: the loop, the plugin, and the plugin's way to the sidecar, put together."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from otlp_tracing.contract.counters import EVENTS_FAILED
from otlp_tracing.gateway.environment import process_emitter
from otlp_tracing.installation import PLUGIN_FILE
from otlp_tracing.server.plugin_host import PluginHost
from otlp_tracing.server.plugin_loader import load
from otlp_tracing.server.worker import Worker

__all__ = ["run_worker"]

# What the sidecar may take to acknowledge the last records; the supervisor waits for eight seconds.
_DRAIN_SECONDS = 3.0


def run_worker(listener: int, plugins: Path) -> None:
    """Serve Kong's events until SIGTERM, or until the supervisor is gone.

    Args:
        listener: descriptor of the listening socket, inherited.
        plugins: folder of the plugin file.
    """
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    supervisor = os.getppid()
    emitter = process_emitter()
    host = PluginHost(load(plugins / PLUGIN_FILE), on_failure=lambda phase: emitter.counters.add(EVENTS_FAILED, phase))
    worker = Worker(socket.socket(fileno=listener), host, emitter, lambda: stopping or os.getppid() != supervisor)
    worker.run()
    emitter.drain(_DRAIN_SECONDS)
