"""The emitter of a process, as the environment that it was started with says.

The plugin file is loaded by name, by our server or by Kong's own, so nothing can be handed to it.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from otlp_tracing.logs.lines import WARNINGS
from otlp_tracing.plugin.emitter import Emitter, start_pump_thread
from otlp_tracing.plugin.names import HOSTED_VARIABLE, SIDECAR_SOCKET_VARIABLE

DEFAULT_SIDECAR_SOCKET = Path("/usr/local/kong/otlp-tracing/sidecar.sock")


@cache
def process_emitter() -> Emitter:
    """Return the one emitter that all plugin instances of this process share."""
    emitter = Emitter(Path(os.environ.get(SIDECAR_SOCKET_VARIABLE) or DEFAULT_SIDECAR_SOCKET), warnings=WARNINGS)
    if not os.environ.get(HOSTED_VARIABLE):
        start_pump_thread(emitter)
    return emitter
