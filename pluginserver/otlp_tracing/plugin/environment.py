"""Settings by environment variables: the emitter of this process, and the fields that an entry leaves unset.

The plugin file is loaded by name, by our server or by Kong's own, so nothing can be handed to it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from otlp_tracing.config.otel_variables import TracerVariables, tracer_remarks
from otlp_tracing.logs.lines import WARNINGS
from otlp_tracing.plugin.emitter import Emitter, start_pump_thread
from otlp_tracing.plugin.names import HOSTED_VARIABLE, SIDECAR_SOCKET_VARIABLE

_log = logging.getLogger("otlp_tracing.plugin.environment")

DEFAULT_SIDECAR_SOCKET = Path("/usr/local/kong/otlp-tracing/sidecar.sock")


@cache
def process_emitter() -> Emitter:
    """Return the one emitter that all plugin instances of this process share."""
    emitter = Emitter(Path(os.environ.get(SIDECAR_SOCKET_VARIABLE) or DEFAULT_SIDECAR_SOCKET), warnings=WARNINGS)
    if not os.environ.get(HOSTED_VARIABLE):
        start_pump_thread(emitter)
    return emitter


def filled(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an entry's configuration, with the fields filled in that OpenTelemetry's variables decide.

    The sidecar gets the filled configuration too: it decides about requests that `access` has not seen, and its own
    environment may differ.
    """
    return _variables().fill(config)


@cache
def _variables() -> TracerVariables:
    if not os.environ.get(HOSTED_VARIABLE):  # `otlp-tracing serve` says it once for all of its workers
        for remark in tracer_remarks(os.environ, has_own_sidecar=True):
            _log.warning("%s", remark)
    return TracerVariables.read(os.environ)
