"""What the process that hosts the plugin tells it by environment variables, and the emitter that follows.

The plugin file is loaded by name, by our server or by Kong's own, so nothing can be handed to it.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from otlp_tracing.gateway.emitter import Emitter, start_pump_thread

__all__ = ["DEFAULT_SIDECAR_SOCKET", "HOSTED_VARIABLE", "SIDECAR_SOCKET_VARIABLE", "process_emitter"]

SIDECAR_SOCKET_VARIABLE = "OTLP_TRACING_SIDECAR"
"""Names the sidecar's socket; `serve` sets it for its workers, a person for Kong's own server."""

HOSTED_VARIABLE = "OTLP_TRACING_HOSTED"
"""Set where the host's own loop pumps the emitter."""

DEFAULT_SIDECAR_SOCKET = Path("/usr/local/kong/otlp-tracing/sidecar.sock")


@cache
def process_emitter() -> Emitter:
    """Return the one emitter that all plugin instances of this process share."""
    emitter = Emitter(Path(os.environ.get(SIDECAR_SOCKET_VARIABLE) or DEFAULT_SIDECAR_SOCKET))
    if not os.environ.get(HOSTED_VARIABLE):
        start_pump_thread(emitter)
    return emitter
