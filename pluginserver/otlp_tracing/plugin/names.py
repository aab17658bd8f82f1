"""Environment variables by which a plugin server tells the plugin how it is run."""

from __future__ import annotations

SIDECAR_SOCKET_VARIABLE = "OTLP_TRACING_SIDECAR"
"""Names the sidecar's socket; `serve` sets it for its workers, a person for Kong's own server."""

HOSTED_VARIABLE = "OTLP_TRACING_HOSTED"
"""Set where the host's own loop pumps the emitter."""
