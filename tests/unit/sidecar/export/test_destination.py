"""Promises of sidecar/export/destination.py."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.config.settings import Settings, Tls
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


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://c:4318/v1/traces", "http://c:port", "http://c:99999", "http://c:0", "http://${HOST}:4317", "http://*",
        "http://$(HOST_IP):4317", "http://{{ host }}:4317", "http://a,b:4317", "http://c\\d:4317", "http://c :4317",
    ],
)  # fmt: skip
def test_an_endpoint_that_cannot_work_is_named(endpoint: str) -> None:
    """OTLP over gRPC has no path, and a port is a number."""
    with pytest.raises(ConfigError, match="endpoint"):
        destination({"endpoint": endpoint})


def test_the_environment_fills_what_is_unset() -> None:
    """OTEL_* variables provide the fields that the plugin's configuration leaves unset, and no others."""
    variables = {
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=production,service.name=from-environment",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://env:1",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=abc",
    }
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
    """Kong has not checked it; the error names the variable, without its value."""
    for endpoint in ("ftp://s3cr3t:1", "http://s3cr3t:port", "http://2001:db8::s3cr3t:4317", "https://a:s3cr3t@c:1"):
        with pytest.raises(ConfigError, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT: must ") as error:
            destination({}, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        assert "s3cr3t" not in str(error.value)
    with pytest.raises(ConfigError, match=r"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: .*IPv6 address stands in \[\]"):
        destination({}, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://2001:db8::1:4317")


@pytest.mark.parametrize("endpoint", ["http://", "https:///", "//"])
def test_an_endpoint_of_the_environment_without_a_host_is_a_fault(endpoint: str) -> None:
    """Also as a base, to which a path is added."""
    with pytest.raises(ConfigError, match="must be http://host:port"):
        destination({"protocol": "http/protobuf"}, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)


@pytest.mark.parametrize(("insecure", "secure"), [("", True), ("false", True), ("true", False), ("TRUE", False)])
def test_an_endpoint_of_the_environment_needs_no_scheme(insecure: str, secure: bool) -> None:
    """Over gRPC host:port is enough; OTEL_EXPORTER_OTLP_INSECURE turns TLS off."""
    found = destination({}, OTEL_EXPORTER_OTLP_ENDPOINT=" collector:4317 ", OTEL_EXPORTER_OTLP_INSECURE=insecure)

    assert (found.target, found.secure, found.endpoint) == ("collector:4317", secure, "collector:4317")


@pytest.mark.parametrize(
    ("endpoint", "protocol", "insecure", "target", "url"),
    [
        ("10.0.0.5:4317", "grpc", "true", "10.0.0.5:4317", "http"),
        ("collector", "grpc", "true", "collector:4317", "http"),
        ("collector", "grpc", "", "collector:443", "https"),
        ("dns:///collector:4317", "grpc", "true", "collector:4317", "http"),
        ("[2001:db8::1]:4317", "grpc", "true", "[2001:db8::1]:4317", "http"),
        ("http://[fe80::1%25eth0]:4317", "grpc", "", "[fe80::1%eth0]:4317", "http"),
        (" http://c:4317\n", "grpc", "", "c:4317", "http"),
        ("collector:4318", "http/protobuf", "true", "collector:4318", "http://collector:4318/v1/traces"),
        ("http://c:4318/base/", "http/protobuf", "", "c:4318", "http://c:4318/base/v1/traces"),
        ("https://c", "http/protobuf", "", "c:443", "https://c:443/v1/traces"),
        ("http://c:1/base/?k=1", "http/protobuf", "", "c:1", "http://c:1/base/v1/traces?k=1"),
        ('"http://c:4317"', "'grpc'", "", "c:4317", "http"),
        ("http://m\u00fcnchen.example", "grpc", "", "m\u00fcnchen.example:4317", "http"),
        ("http://otel_collector.:4317", "grpc", "", "otel_collector.:4317", "http"),
    ],
)
def test_an_endpoint_of_the_environment_is_read_as_every_sdk_does(
    endpoint: str, protocol: str, insecure: str, target: str, url: str
) -> None:
    """With or without a scheme, with blanks around it, over the protocol that the environment names."""
    found = destination(
        {},
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_INSECURE=insecure,
    )

    assert (found.target, found.protocol) == (target, protocol.strip("'"))
    assert found.url.startswith(url)
    assert found.secure == url.startswith("https")


def test_every_field_of_the_export_can_come_from_the_environment() -> None:
    """Protocol, TLS, compression and timeout, where the entry leaves them unset; traces' own variables come first."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://c:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/client.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/key.pem",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
    }
    unset = destination({}, **variables)
    own = {"protocol": "grpc", "compression": "gzip", "tls": {"client_cert": "/own.pem", "client_key": "/own-key.pem"}}
    configured = destination(own, **variables)

    assert (unset.protocol, unset.url, unset.gzip, unset.timeout_s) == (
        "http/protobuf",
        "https://c:4318/v1/traces",
        False,
        2.5,
    )
    assert unset.tls == Tls("/ca.pem", "/client.pem", "/key.pem")
    assert (configured.protocol, configured.gzip) == ("grpc", True)
    assert configured.tls == Tls("/ca.pem", "/own.pem", "/own-key.pem")
    assert (destination().protocol, destination().timeout_s) == ("grpc", 10.0)


@pytest.mark.parametrize(
    ("endpoint", "gzip"),
    [
        ("http://localhost:4317", False),
        ("https://127.0.0.1:4317", False),
        ("http://[::1]:4317", False),
        ("http://collector:4317", True),
        ("http://10.0.0.1:4317", True),
        ("https://localhost.example.com", True),
    ],
)
def test_exports_are_compressed_if_they_leave_the_machine(endpoint: str, gzip: bool) -> None:
    """Unless the entry or the environment says otherwise."""
    assert destination({"endpoint": endpoint}).gzip == gzip
    assert destination({"endpoint": endpoint, "compression": "gzip"}).gzip
    assert not destination({"endpoint": endpoint}, OTEL_EXPORTER_OTLP_COMPRESSION="none").gzip


def test_a_proxys_password_is_not_stored() -> None:
    """The proxy is part of a destination, and neither of its description nor of its identity."""
    found = destination({"endpoint": "https://c:1"}, HTTPS_PROXY="http://u:s3cr3t@p:3128")

    assert found.proxy == "http://u:s3cr3t@p:3128"
    assert "s3cr3t" not in found.description
    assert found.identity == destination({"endpoint": "https://c:1"}).identity
    assert Destination.from_description(found.description, {"https_proxy": "p:1"})[0].proxy == "http://p:1"


@pytest.mark.parametrize(
    "line",
    [
        "grpc-status: 5x",
        "Grpc-Timeout: 1Sx",
        "content-length: 5x",
        "te: xyz",
        "x-team: M\u00fcller",
        "authorization: Bearer \u201cabc\u201d",
        "x-data-bin: abc",
        "x-a: \x7f",
    ],
)
def test_a_header_that_grpc_refuses_is_a_fault(line: str) -> None:
    """It is named without its value; over HTTP it can be sent."""
    with pytest.raises(ConfigError) as error:
        destination({"endpoint": "http://c:1", "headers": [line]})
    name, _, value = line.partition(": ")

    assert name.lower() in str(error.value)
    assert value not in str(error.value)
    assert destination({"endpoint": "http://c:1", "protocol": "http/protobuf", "headers": [line]}).headers
    with pytest.raises(ConfigError, match=r"^OTEL_EXPORTER_OTLP_HEADERS = x-data-bin: .*gRPC"):
        destination({}, OTEL_EXPORTER_OTLP_HEADERS="x-data-bin=abc")
    with pytest.raises(ConfigError, match=r"^OTEL_EXPORTER_OTLP_TRACES_HEADERS = x-data-bin: .*gRPC"):
        destination({}, OTEL_EXPORTER_OTLP_TRACES_HEADERS="x-data-bin=abc")


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


def metrics_url(config: dict[str, Any], **environment: str) -> str:
    settings = Settings.from_config({"protocol": "http/protobuf", **config})
    return Destination.from_settings(settings, environment, signal="metrics").url


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({"endpoint": "http://c:4318"}, "http://c:4318/v1/metrics"),
        ({"endpoint": "http://c:1/otlp/v1/traces?key=1"}, "http://c:1/otlp/v1/metrics?key=1"),
        ({"endpoint": "http://c/in", "metrics": {"endpoint": "http://m:2/v2"}}, "http://m:2/v2"),
        ({}, "http://all:4318/v1/metrics"),
    ],
)
def test_metrics_are_sent_beside_traces(config: dict[str, Any], url: str) -> None:
    """Each signal has a path of its own, and a setting or variable for one signal takes precedence."""
    assert metrics_url(config, OTEL_EXPORTER_OTLP_ENDPOINT="http://all:4318") == url


def test_a_variable_for_a_signal_takes_precedence() -> None:
    """OTEL_EXPORTER_OTLP_METRICS_ENDPOINT is the whole URL, and traces do not use it."""
    variables = {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m:1/own",
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "a=b",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1",
    }
    settings = Settings.from_config({"protocol": "http/protobuf"})
    metrics = Destination.from_settings(settings, variables, signal="metrics")

    assert (metrics.url, metrics.headers) == ("http://m:1/own", (("a", "b"),))
    assert destination({"protocol": "http/protobuf"}, **variables).url == "http://c:1/v1/traces"


def test_a_path_of_a_signal_is_not_guessed() -> None:
    """A path that does not end in /v1/traces says nothing about that of metrics, so metrics.endpoint is required."""
    with pytest.raises(ConfigError, match=r"metrics\.endpoint.*is required"):
        metrics_url({"endpoint": "http://c/in"})


def test_the_label_has_no_query() -> None:
    """It can have a key, and the label is on /metrics and in the log."""
    found = destination({"endpoint": "https://c/v1/traces?api-key=s3cr3t", "protocol": "http/protobuf"})

    assert (found.label, found.url) == ("https://c/v1/traces", "https://c:443/v1/traces?api-key=s3cr3t")


def test_signals_are_different_destinations() -> None:
    """They differ in identity and description; that of traces is as it was before there were others."""
    settings = Settings.from_config({"endpoint": "http://c:4317"})
    traces, logs = (Destination.from_settings(settings, {}, signal=signal) for signal in ("traces", "logs"))

    assert traces.identity != logs.identity
    assert b"signal" not in traces.identity
    assert Destination.from_description(logs.description, {}) == (logs, False)
    assert Destination.from_description(traces.description, {}) == (traces, False)


def test_its_traits_have_no_secret() -> None:
    """The names of headers and the name of the service are for every reader; a header's value is not."""
    entry = {
        "endpoint": "http://c:1",
        "headers": ["X-Api-Key: s3cr3t", "a: b"],
        "resource_attributes": [{"key": "service.name", "value": "shop"}],
    }

    assert destination(entry).traits == {"service_name": "shop", "header_names": ["a", "x-api-key"]}
