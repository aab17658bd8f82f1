"""The Kong plugin `otlp-tracing`, the file that a plugin server loads.

Runs in `otlp-tracing serve` and, over MessagePack, in Kong's own kong-python-pluginserver. Kong executes this file
before it is a module of its own, and runs every .py beside it as a plugin. So it holds names only, and no other file
may be in this folder.
"""

from typing import Any

from otlp_tracing import __version__
from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.plugin.environment import filled, process_emitter
from otlp_tracing.plugin.handler import Phases
from otlp_tracing.plugin.pdk import make_calls

Schema = SCHEMA
version = __version__
# Above zipkin and ddtrace (100000) and correlation-id (100001), so that a request which one of them or an
# authentication plugin ends has joined its caller's trace by then.
priority = 100_010


class Plugin:
    """One instance a plugin entry and Kong worker."""

    # Over ProtoBuf our server ends the event together with this call; see kong_server/protocol/protobuf_session.py.
    final_calls = {"log": "kong.log.serialize"}  # noqa: RUF012

    def __init__(self, config: dict[str, Any]) -> None:
        phases = Phases(filled(config), process_emitter())
        # Our server runs these, and Kong's own the methods below.
        self.access_calls = phases.access
        self.log_calls = phases.log

    def access(self, kong: Any) -> None:
        """Decide and propagate, before the request is sent upstream."""
        make_calls(self.access_calls(), kong)

    def log(self, kong: Any) -> None:
        """Hand the log record over, after the response."""
        make_calls(self.log_calls(), kong)
