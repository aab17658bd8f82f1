"""The PDK as Kong shows it to external plugins: which calls there are, and in which phase each throws.

The functions themselves are in `pdk_request`, `pdk_service` and `pdk_kong`; they take a request's
state and plain values. Unknown names are answered with nil, as Kong does.

Source: exposed_api in kong/runloop/plugin_servers/plugin.lua, check_phase in kong/pdk of Kong 3.9.1;
transcripts/probes-*.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any

from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.entities import Declaration, PluginEntry
from otlp_tracing_devtools.fake_kong.pdk_kong import KONG_METHODS
from otlp_tracing_devtools.fake_kong.pdk_method import Method, PdkEvent
from otlp_tracing_devtools.fake_kong.pdk_request import REQUEST_METHODS
from otlp_tracing_devtools.fake_kong.pdk_service import SERVICE_METHODS
from otlp_tracing_devtools.fake_kong.plugin_rpc import PluginError

_log = logging.getLogger("otlp_tracing_devtools.fake_kong.plugins")

PDK_METHODS: Mapping[str, Method] = {**REQUEST_METHODS, **SERVICE_METHODS, **KONG_METHODS}
"""Every call by its name."""


class Pdk:
    """Runs the PDK calls of one event."""

    def __init__(self, context: RequestContext, phase: str, entry: PluginEntry, declaration: Declaration) -> None:
        self._event = PdkEvent(context, phase, entry, declaration)

    async def call(self, method: str, arguments: Any) -> Any:
        """See `PdkCaller`. Only the first result counts: an error message beside nil is lost in Kong, too."""
        found = PDK_METHODS.get(method)
        if found is None:
            _log.error("[%s] could not find pdk method: %s", self._event.entry.name, method)
            return None
        if self._event.phase not in found.phases:
            only = ", ".join(sorted(found.phases)) or "no phase a plugin server sees"
            raise PluginError(f"function cannot be called in {self._event.phase} phase (only in: {only})")
        values = arguments if isinstance(arguments, list) else [] if arguments is None else [arguments]
        result = found.function(self._event, *found.fitted(values))
        return await result if inspect.isawaitable(result) else result
