"""Rate, errors, duration of a service's requests: one histogram has all three.

Source: OpenTelemetry semantic conventions, http.server.request.duration and rpc.server.call.duration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from opentelemetry import metrics

__all__ = ["observe"]

_meter = metrics.get_meter(__name__)
_histograms = {
    "http": _meter.create_histogram("http.server.request.duration", "s", "Duration of HTTP requests."),
    "rpc": _meter.create_histogram("rpc.server.call.duration", "s", "Duration of gRPC calls."),
}


def observe(kind: Literal["http", "rpc"], seconds: float, attributes: Mapping[str, str | int]) -> None:
    """Record one request; call it while its span is current, so that the exemplar leads to the trace.

    Args:
        kind: of the request.
        seconds: how long it took.
        attributes: of low cardinality: method, route, status; never an id, never a path.
    """
    _histograms[kind].record(seconds, attributes)
