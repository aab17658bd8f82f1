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
        ("https://collector", "collector:443", True),
        ("http://[2001:db8::1]:4317/", "[2001:db8::1]:4317", False),
    ],
)
def test_an_endpoint_is_a_target(endpoint: str, target: str, secure: bool) -> None:
    """Https turns TLS on, and its default port is 443."""
    found = destination({"endpoint": endpoint})

    assert (found.target, found.secure) == (target, secure)


@pytest.mark.parametrize("endpoint", ["http://c:4318/v1/traces", "http://c:port", "http://c:99999"])
def test_an_endpoint_that_cannot_work_is_named(endpoint: str) -> None:
    """OTLP over gRPC has no path, and a port is a number."""
    with pytest.raises(ConfigError, match="endpoint"):
        destination({"endpoint": endpoint})


def test_the_environment_fills_what_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_* variables provide the fields that the plugin's configuration leaves unset, and no others."""
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
    """Kong has not checked it."""
    with pytest.raises(ConfigError, match=r"ftp://c:1.*must be http"):
        destination({}, OTEL_EXPORTER_OTLP_ENDPOINT="ftp://c:1")


@pytest.mark.parametrize(("insecure", "secure"), [("", True), ("false", True), ("true", False), ("TRUE", False)])
def test_an_endpoint_of_the_environment_needs_no_scheme(insecure: str, secure: bool) -> None:
    """Over gRPC host:port is enough; OTEL_EXPORTER_OTLP_INSECURE turns TLS off."""
    found = destination({}, OTEL_EXPORTER_OTLP_ENDPOINT=" collector:4317 ", OTEL_EXPORTER_OTLP_INSECURE=insecure)

    assert (found.target, found.secure, found.endpoint) == ("collector:4317", secure, "collector:4317")


@pytest.mark.parametrize(
    "line", ["x-team: M\u00fcller", "authorization: Bearer \u201cabc\u201d", "x-data-bin: abc", "x-a: \x7f"]
)
def test_a_header_that_grpc_refuses_is_a_fault(line: str) -> None:
    """It is named without its value; over HTTP it can be sent."""
    with pytest.raises(ConfigError) as error:
        destination({"endpoint": "http://c:1", "headers": [line]})
    name, _, value = line.partition(": ")

    assert name in str(error.value)
    assert value not in str(error.value)
    assert destination({"endpoint": "http://c:1", "protocol": "http/protobuf", "headers": [line]}).headers
    with pytest.raises(ConfigError, match=r"x-data-bin.*gRPC"):
        destination({}, OTEL_EXPORTER_OTLP_HEADERS="x-data-bin=abc")


def test_a_reference_to_a_vault_is_not_judged() -> None:
    """Kong replaces it; `check` sees it as it is written."""
    assert destination({"headers": ["{vault://env/otlp-header}"]}).headers == ()


def test_entries_that_agree_share_a_destination() -> None:
    """Settings that do not concern export make no second destination."""
    config = {"endpoint": "http://c:1"}

    assert destination(config) == destination({**config, "sampling": {"rate": 0.5}})
    assert destination(config) != destination({**config, "headers": ["a: b"]})


def test_a_number_of_the_resource_is_one_after_a_restart() -> None:
    """A stored description gives the same resource, and so the same destination."""
    made = Destination.from_settings(Settings.from_config({}), {}, {"otlp_tracing.cpu.count": 3})
    found, _ = Destination.from_description(made.description, {})

    assert dict(found.resource_attributes)["otlp_tracing.cpu.count"] == 3
    assert found.identity == made.identity
