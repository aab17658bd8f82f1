"""The remedy that `status` shows when a collector accepts nothing. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.result import Action


def remedy_for(action: Action, destination: Destination) -> str:
    """Return the remedy for a result that does not bring one; empty if the collector may recover by itself."""
    if action is Action.HOLD_UNAUTHORIZED:
        return "check the key in `headers`, or in OTEL_EXPORTER_OTLP_HEADERS: the collector refuses it"
    if action is not Action.HOLD_NOT_OTLP:
        return ""
    if destination.protocol == "grpc":
        return "check host and port of `endpoint`, and that the collector has a traces pipeline with an OTLP receiver"
    path = urlsplit(destination.url).path.rstrip("/")
    hint = f", here probably {path}/v1/traces" if not path.endswith("/v1/traces") else ""
    return f"check `endpoint`: OTLP over HTTP is usually at the path /v1/traces{hint}"
