"""The ports of OTLP.

Source: OpenTelemetry protocol specification 1.5, default ports of OTLP/gRPC and OTLP/HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping

from otlp_tracing.config.otel_variables import Protocol

OTLP_PORTS: Mapping[Protocol, int] = {"grpc": 4317, "http/protobuf": 4318}
"""The port at which a collector usually takes a protocol, without TLS."""


def protocol_of(port: int | None) -> Protocol | None:
    """Return the protocol that a collector usually takes at a port; None for any other port."""
    return next((protocol for protocol, usual in OTLP_PORTS.items() if usual == port), None)
