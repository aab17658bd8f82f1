"""Promises of config/otlp_ports.py."""

from __future__ import annotations

from otlp_tracing.config.otlp_ports import OTLP_PORTS, protocol_of


def test_a_port_tells_its_protocol() -> None:
    """As the specification has it; any other port, or none, tells nothing."""
    assert [protocol_of(port) for port in (4317, 4318, 443, None)] == ["grpc", "http/protobuf", None, None]
    assert dict(OTLP_PORTS) == {"grpc": 4317, "http/protobuf": 4318}
