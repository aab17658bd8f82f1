"""The remedy that `status` shows when a collector accepts nothing. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from otlp_tracing.config.otel_variables import likely_path, signal_path
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.result import Action


def remedy_for(action: Action, destination: Destination) -> str:
    """Return the remedy for a result that does not bring one; empty if the collector may recover by itself."""
    if action is Action.HOLD_UNAUTHORIZED:
        return "check the key in `headers`, or in OTEL_EXPORTER_OTLP_HEADERS: the collector refuses it"
    if action is not Action.HOLD_NOT_OTLP:
        return ""
    if destination.protocol == "grpc":
        pipeline = f"a {destination.signal} pipeline with an OTLP receiver"
        return f"check host and port of `endpoint`, and that the collector has {pipeline}"
    path, usual = urlsplit(destination.url).path, signal_path(destination.signal)
    likely = likely_path(path, destination.signal)
    hint = f", here probably {likely}" if likely not in {path, usual} else ""
    return f"check `endpoint`: OTLP over HTTP is usually at the path {usual}{hint}"
