"""Promises of config/otel_variables.py."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.config.otel_variables import (
    ExporterVariables,
    TracerVariables,
    exporter_remarks,
    resource_variables,
    tracer_remarks,
)
from otlp_tracing.config.settings import Settings

EXPORTER = "OTEL_EXPORTER_OTLP_"


def filled(config: dict[str, Any], **environment: str) -> Settings:
    return Settings.from_config(TracerVariables.read(environment).fill(config))


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        ("x-api-key=abc", {"x-api-key": "abc"}),
        ("Authorization=Bearer%20abc, x-b = c ,", {"authorization": "Bearer abc", "x-b": "c"}),
        ("authorization=Bearer abc", {"authorization": "Bearer abc"}),
        ("authorization=Basic YWJj==", {"authorization": "Basic YWJj=="}),
        ("a=1,a=2", {"a": "2"}),
        ("", {}),
    ],
)
def test_headers_are_read(value: str, headers: dict[str, str]) -> None:
    """Pairs with commas between, percent-encoded or not; equal names count once."""
    found = ExporterVariables.read({f"{EXPORTER}HEADERS": value})

    assert dict(found.headers) == headers
    assert found.problems == ()


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("HEADERS", "Authorization: Bearer s3cr3t", "must be name=value"),
        ("HEADERS", "x=s3cr3t,b", "part 2 of 2"),
        ("HEADERS", "x=s3cr3t%0Ab", "must be name=value"),
        ("TRACES_HEADERS", "s3cr3t", "must be name=value"),
        ("PROTOCOL", "s3cr3t", "must be grpc or http/protobuf"),
        ("PROTOCOL", "http/json", "http/protobuf is used"),
        ("COMPRESSION", "s3cr3t", "must be gzip or none"),
        ("TIMEOUT", "10s3cr3t", "must be 1 to 600000 milliseconds"),
        ("TIMEOUT", "0", "must be 1 to 600000 milliseconds"),
        ("TIMEOUT", "10", "is in milliseconds"),
        ("INSECURE", "s3cr3t", "must be true or false"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(name: str, value: str, rule: str) -> None:
    """In one sentence, without its value; the others are used."""
    (problem,) = exporter_remarks({EXPORTER + name: value, "OTEL_SERVICE_NAME": "kong"}, is_embedded=True)

    assert str(problem).startswith(f"{EXPORTER}{name}: ")
    assert rule in str(problem)
    assert "s3cr3t" not in str(problem)


def test_the_value_of_traces_comes_first() -> None:
    """A variable for traces has priority over the one for all signals; an empty one is unset."""
    found = ExporterVariables.read({
        f"{EXPORTER}TRACES_COMPRESSION": "none",
        f"{EXPORTER}COMPRESSION": "gzip",
        f"{EXPORTER}TRACES_PROTOCOL": " ",
        f"{EXPORTER}PROTOCOL": "HTTP/protobuf",
    })  # fmt: skip

    assert (found.compression, found.protocol) == ("none", "http/protobuf")


def test_quotes_around_a_value_are_left_out() -> None:
    """Docker's --env-file keeps those that a shell would remove."""
    variables = {
        f"{EXPORTER}HEADERS": '"x-api-key=abc"',
        f"{EXPORTER}PROTOCOL": "'http/protobuf'",
        f"{EXPORTER}ENDPOINT": '""',
        f"{EXPORTER}TIMEOUT": '" 2500"',
    }
    found = ExporterVariables.read(variables)

    assert (dict(found.headers), found.protocol) == ({"x-api-key": "abc"}, "http/protobuf")
    assert (found.endpoint, found.timeout_s, found.problems) == ("", 2.5, ())
    assert filled({}, OTEL_TRACES_SAMPLER='"traceidratio"', OTEL_TRACES_SAMPLER_ARG="'0.5'").sampling.rate == 0.5
    assert filled({}, OTEL_PROPAGATORS='"b3"').propagation.extract == ("b3",)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({f"{EXPORTER}ENDPOINT": "http://c:1", f"{EXPORTER}CERTIFICATE": "/ca.pem"}, f"{EXPORTER}CERTIFICATE"),
        ({f"{EXPORTER}ENDPOINT": "https://c:1", f"{EXPORTER}INSECURE": "true"}, f"{EXPORTER}INSECURE"),
        ({f"{EXPORTER}CLIENT_KEY": "/key.pem"}, f"{EXPORTER}CLIENT_KEY"),
        ({f"{EXPORTER}ENDPOINT": "http://c:4318/v1/traces/"}, f"{EXPORTER}ENDPOINT"),
        ({f"{EXPORTER}ENDPOINT": "http://c:4318/v1/metrics"}, f"{EXPORTER}ENDPOINT"),
        ({f"{EXPORTER}ENDPOINT": "HTTP://c:1", f"{EXPORTER}CERTIFICATE": "/ca.pem"}, f"{EXPORTER}CERTIFICATE"),
        ({f"{EXPORTER}ENDPOINT": "http://c:1", f"{EXPORTER}INSECURE": "false"}, f"{EXPORTER}INSECURE"),
        ({f"{EXPORTER}METRICS_TIMEOUT": "10s"}, f"{EXPORTER}METRICS_TIMEOUT"),
        ({f"{EXPORTER}LOGS_HEADERS": "broken"}, f"{EXPORTER}LOGS_HEADERS"),
        ({f"{EXPORTER}HEADERS": "a=%FF"}, f"{EXPORTER}HEADERS"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=1,broken"}, "OTEL_RESOURCE_ATTRIBUTES"),
        (
            {f"{EXPORTER}LOGS_ENDPOINT": "http://c:1", f"{EXPORTER}LOGS_CERTIFICATE": "/ca.pem"},
            f"{EXPORTER}LOGS_CERTIFICATE",
        ),
        ({"OTEL_BSP_SCHEDULE_DELAY": "1", "OTEL_SDK_DISABLED": "true"}, "OTEL_BSP_SCHEDULE_DELAY, OTEL_SDK_DISABLED"),
    ],
)
def test_a_variable_that_is_not_used_is_named(environment: dict[str, str], named: str) -> None:
    """One sentence for each, and one for all that the product does not know."""
    (remark,) = exporter_remarks(environment, is_embedded=True)

    assert str(remark).startswith(f"{named}: ")


def test_a_variable_that_one_signal_uses_is_no_remark() -> None:
    """The certificate is that of logs; traces and metrics have no TLS."""
    environment = {
        f"{EXPORTER}ENDPOINT": "http://c:4317",
        f"{EXPORTER}LOGS_ENDPOINT": "https://c",
        f"{EXPORTER}CERTIFICATE": "/ca.pem",
    }

    assert exporter_remarks(environment, is_embedded=True) == []


def test_resource_attributes_are_decoded() -> None:
    """Blanks and quotes around them are left out; a broken one costs no other, and its value is not shown."""
    attributes, problems = resource_variables({
        "OTEL_RESOURCE_ATTRIBUTES": '" team=a%2Cb%3D , empty=,, =x,s3cr3t,bad=%FF,url=http://a=b"',
        "OTEL_SERVICE_NAME": "'edge'",
    })  # fmt: skip

    assert attributes == {"team": "a,b=", "empty": "", "url": "http://a=b", "service.name": "edge"}
    assert [problem.rule.rpartition("; ")[2] for problem in problems] == [
        f"its part {number} of 6 cannot be read" for number in (3, 4, 5)
    ]
    assert "s3cr3t" not in str(problems)


def test_a_variable_in_the_wrong_process_is_named() -> None:
    """The plugin server reads sampler and propagators, the sidecar everything else."""
    environment = {"OTEL_TRACES_SAMPLER": "always_on", f"{EXPORTER}ENDPOINT": "http://c:1"}

    assert exporter_remarks(environment, is_embedded=True) == []
    assert [one.field for one in exporter_remarks(environment, is_embedded=False)] == ["OTEL_TRACES_SAMPLER"]
    assert tracer_remarks(environment, has_own_sidecar=False) == []
    assert [one.field for one in tracer_remarks(environment, has_own_sidecar=True)] == [f"{EXPORTER}ENDPOINT"]
    more = {**environment, "OTEL_SERVICE_NAME": "a", "OTEL_SDK_DISABLED": "true"}
    assert [one.field for one in tracer_remarks(more, has_own_sidecar=True)] == [
        f"{EXPORTER}ENDPOINT, OTEL_SERVICE_NAME",
        "OTEL_SDK_DISABLED",
    ]


@pytest.mark.parametrize(
    ("name", "argument", "rate", "parent"),
    [
        ("always_on", "", 1.0, "ignore"),
        ("always_off", "", 0.0, "ignore"),
        ("traceidratio", "0.25", 0.25, "ignore"),
        ("traceidratio", "", 1.0, "ignore"),
        ("parentbased_always_on", "", 1.0, "follow"),
        ("parentbased_always_off", "", 0.0, "follow"),
        (" ParentBased_TraceIdRatio ", " .1 ", 0.1, "follow"),
    ],
)
def test_a_sampler_of_the_environment_counts(name: str, argument: str, rate: float, parent: str) -> None:
    """A sampler is a rate and a parent; an entry with a rate has a sampler of its own."""
    environment = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}
    found = filled({}, **environment).sampling
    own = filled({"sampling": {"rate": 0.5}}, **environment).sampling
    with_parent = filled({"sampling": {"parent": "ignore", "rate": None}}, **environment).sampling

    assert (found.rate, found.parent) == (rate, parent)
    assert (own.rate, own.parent) == (0.5, "follow")
    assert (with_parent.rate, with_parent.parent) == (rate, "ignore")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "OTEL_TRACES_SAMPLER"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10%"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_TRACES_SAMPLER_ARG": "0.1"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_PROPAGATORS": "tracecontext,zebra"}, "OTEL_PROPAGATORS"),
    ],
)
def test_a_sampler_that_cannot_be_used_is_named(environment: dict[str, str], named: str) -> None:
    """Then the entry keeps its default."""
    (problem,) = tracer_remarks(environment, has_own_sidecar=False)

    assert problem.field == named
    assert filled({}, **environment).sampling.rate == 1.0


@pytest.mark.parametrize(
    ("value", "extract", "inject"),
    [
        ("tracecontext,baggage", ("w3c",), ("w3c",)),
        ("b3", ("b3",), ("b3-single",)),
        (" b3multi , TraceContext", ("b3", "w3c"), ("b3", "w3c")),
        ("b3,b3multi", ("b3",), ("b3-single", "b3")),
        ("jaeger,xray,ottrace", ("jaeger", "aws", "ot"), ("jaeger", "aws", "ot")),
        ("none", (), ()),
        ("zebra", ("w3c", "b3", "jaeger", "datadog"), ("w3c",)),
        ("", ("w3c", "b3", "jaeger", "datadog"), ("w3c",)),
    ],
)
def test_propagators_of_the_environment_count(value: str, extract: tuple[str, ...], inject: tuple[str, ...]) -> None:
    """In their order, for the two lists that the entry leaves unset."""
    found = filled({}, OTEL_PROPAGATORS=value).propagation
    own = filled({"propagation": {"inject": ["datadog"], "extract": None}}, OTEL_PROPAGATORS=value).propagation

    assert (found.extract, found.inject) == (extract, inject)
    assert (own.extract, own.inject) == (extract, ("datadog",))


@pytest.mark.parametrize(
    "config", [{}, {"sampling": None}, {"sampling": []}, {"propagation": {}, "endpoint": "http://c"}]
)
def test_nothing_set_changes_nothing(config: dict[str, Any]) -> None:
    """The key of an entry stays what it is."""
    assert TracerVariables.read({}).fill(config) == config


@pytest.mark.parametrize("config", [{"sampling": "text"}, {"propagation": [1]}])
def test_a_fault_is_left_to_the_schema(config: dict[str, Any]) -> None:
    """A record of another type is not filled in."""
    variables = TracerVariables.read({"OTEL_TRACES_SAMPLER": "always_off", "OTEL_PROPAGATORS": "b3"})
    found = variables.fill(config)

    assert all(found[name] == value for name, value in config.items())


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("OTEL_METRIC_EXPORT_INTERVAL", "10s", "must be 1000 to 86400000 milliseconds; 60000 is used"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "60", "must be 1000 to"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0086400001000", "must be 1000 to"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "must be 1000 to"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "9" * 5000, "must be 1000 to"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "deltas",
            "must be one of cumulative, delta, lowmemory; cumulative is used",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "exponential",
            "must be one of explicit_bucket_histogram, base2_exponential_bucket_histogram; explicit_",
        ),
    ],
)
def test_an_unusable_variable_of_metrics_is_a_remark(name: str, value: str, rule: str) -> None:
    """The default counts, and the start says so, without the value."""
    (remark,) = exporter_remarks({name: value}, is_embedded=True)

    assert (remark.field, remark.value) == (name, "")
    assert remark.rule.startswith(rule)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_METRIC_EXPORT_INTERVAL", " 5000 "),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "DELTA"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"),
    ],
)
def test_a_usable_variable_of_metrics_is_no_remark(name: str, value: str) -> None:
    """Upper case and spaces are taken, as the sidecar takes them."""
    assert exporter_remarks({name: value}, is_embedded=True) == []
