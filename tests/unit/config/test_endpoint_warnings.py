"""Promises of config/endpoint_warnings.py."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.config.endpoint_warnings import endpoint_warnings
from otlp_tracing.config.settings import Settings


def warnings(config: dict[str, Any]) -> list[str]:
    return [field for field, _ in endpoint_warnings(Settings.from_config(config))]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"endpoint": "http://c:4318"}, "endpoint"),
        ({"endpoint": "http://c:4318/", "protocol": "grpc"}, "endpoint"),
        ({"endpoint": "http://c:4317/v1/traces", "protocol": "http/protobuf"}, "endpoint"),
        ({"endpoint": "https://otlp-gateway.example.net/otlp", "protocol": "http/protobuf"}, "endpoint"),
        ({"endpoint": "http://c:4318/v1/traces/", "protocol": "http/protobuf"}, "endpoint"),
        ({"endpoint": "http://c:4318/v1/traces/v1/traces", "protocol": "http/protobuf"}, "endpoint"),
        ({"endpoint": "http://c:4318/v1/metrics", "protocol": "http/protobuf"}, "endpoint"),
        ({"endpoint": "http://c:4317", "tls": {"ca_cert": "/ca.pem"}}, "tls"),
        ({"endpoint": "https://c/v1/traces?api-key=x", "protocol": "http/protobuf"}, "endpoint"),
        ({"endpoint": "https://c:4317", "tls": {"client_cert": "/c.pem"}}, "tls"),
        ({"endpoint": "https://c:4317", "tls": {"ca_cert": "certs/ca.pem"}}, "tls.ca_cert"),
    ],
)
def test_an_endpoint_that_cannot_work_is_warned_about(config: dict[str, Any], field: str) -> None:
    """Port against protocol, a path that is no path of OTLP, TLS that is not used or not whole."""
    assert warnings(config) == [field]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"endpoint": "https://api.example.com"},
        {"endpoint": "http://c:4317"},
        {"endpoint": "http://c:4318", "protocol": "http/protobuf"},
        {"endpoint": "https://c/otlp/v1/traces", "protocol": "http/protobuf"},
        {
            "endpoint": "https://c",
            "tls": {"ca_cert": "-----BEGIN CERTIFICATE-----", "client_cert": "/c", "client_key": "/k"},
        },
    ],
)
def test_a_sound_endpoint_is_not(config: dict[str, Any]) -> None:
    """Https without a port is 443 for both protocols, as everywhere."""
    assert warnings(config) == []
