"""Promises of sidecar/export/destination.py."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.config.settings import Settings
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.export.destination import Destination


def destination(config: dict[str, Any] | None = None, **environment: str) -> Destination:
    return Destination.from_settings(Settings.from_config(config or {}), environment)


@pytest.mark.parametrize(
    ("endpoint", "target", "secure"),
    [
        ("http://collector:4317", "collector:4317", False),
        ("https://collector", "collector:4317", True),
        ("http://[2001:db8::1]:4317/", "[2001:db8::1]:4317", False),
    ],
)
def test_an_endpoint_is_a_target(endpoint: str, target: str, secure: bool) -> None:
    """Https turns TLS on; the port is 4317 unless named."""
    found = destination({"endpoint": endpoint})

    assert (found.target, found.secure) == (target, secure)


@pytest.mark.parametrize("endpoint", ["http://c:4318/v1/traces", "http://c:port", "http://c:99999"])
def test_an_endpoint_that_cannot_work_is_named(endpoint: str) -> None:
    """GRPC knows no path, and a port is a number."""
    with pytest.raises(ConfigError, match="endpoint"):
        destination({"endpoint": endpoint})


def test_the_environment_fills_what_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_* variables stand where the plugin's configuration says nothing, and only there."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=production,service.name=from-environment")
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://env:1", "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=abc"}
    unset = destination({}, **variables)
    configured = destination(
        {
            "endpoint": "http://own:2",
            "headers": ["X-Other: a:b"],
            "resource_attributes": [{"key": "service.name", "value": "edge"}],
        },
        **variables,
    )

    assert (unset.target, unset.headers) == ("env:1", (("x-api-key", "abc"),))
    assert (configured.target, configured.headers) == ("own:2", (("x-other", "a:b"),))
    assert dict(unset.resource_attributes)["service.name"] == "from-environment"
    assert dict(configured.resource_attributes)["service.name"] == "edge"
    assert dict(configured.resource_attributes)["deployment.environment"] == "production"


def test_a_wrong_endpoint_of_the_environment_is_named() -> None:
    """It was not Kong that accepted it."""
    with pytest.raises(ConfigError, match=r"collector:4317.*must be http"):
        destination({}, OTEL_EXPORTER_OTLP_ENDPOINT="collector:4317")


def test_entries_that_agree_share_a_destination() -> None:
    """What does not concern delivery makes no second exporter."""
    config = {"endpoint": "http://c:1"}

    assert destination(config) == destination({**config, "sampling": {"rate": 0.5}})
    assert destination(config) != destination({**config, "headers": ["a: b"]})


def test_a_number_of_the_resource_is_one_after_a_restart() -> None:
    """What is written down of a destination gives the same resource, and so the same destination."""
    made = Destination.from_settings(Settings.from_config({}), {}, {"otlp_tracing.cpu.count": 3})
    found, _ = Destination.from_description(made.description, {})

    assert dict(found.resource_attributes)["otlp_tracing.cpu.count"] == 3
    assert found.identity == made.identity
