"""Promises of commands/convert/equivalent.py."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.commands.check.entry_rules import faults_of
from otlp_tracing.commands.convert.equivalent import BUNDLED, equivalent

OPENTELEMETRY: dict[str, Any] = {
    "traces_endpoint": "http://collector:4318/v1/traces",
    "headers": {"X-Auth-Token": "secret"},
    "resource_attributes": {"service.name": "edge", "deployment.environment": "test"},
    "queue": {"max_batch_size": 100, "max_coalescing_delay": 2, "max_entries": 5000},
    "sampling_rate": 0.25,
    "http_response_header_for_traceid": "X-Trace-Id",
    "propagation": {
        "extract": ["w3c", "b3"],
        "clear": ["uber-trace-id"],
        "inject": ["preserve"],
        "default_format": "w3c",
    },
}


def test_opentelemetry_keeps_what_it_says() -> None:
    """Endpoint, headers, resource, batches, rate, propagation and the response header are carried over."""
    config = equivalent("opentelemetry", OPENTELEMETRY).config

    assert config == {
        "endpoint": "http://collector:4318/v1/traces",
        "protocol": "http/protobuf",
        "headers": ["X-Auth-Token: secret"],
        "resource_attributes": [
            {"key": "service.name", "value": "edge"},
            {"key": "deployment.environment", "value": "test"},
        ],
        "sampling": {"rate": 0.25},
        "batch_export": {"send_batch_size": 100, "timeout": 2000},
        "propagation": {
            "extract": ["w3c", "b3"],
            "inject": ["w3c"],
            "clear": ["uber-trace-id"],
            "response_header": "X-Trace-Id",
        },
    }


def test_zipkin_goes_through_a_collector() -> None:
    """The rate and the name are carried over; that a collector has to speak Zipkin is said."""
    made = equivalent("zipkin", {"http_endpoint": "http://zipkin:9411/api/v2/spans", "sample_ratio": 0.5})

    assert made.config["sampling"] == {"rate": 0.5}
    assert made.config["propagation"]["inject"] == ["b3"]
    assert any("http://zipkin:9411/api/v2/spans" in note for note in made.notes)


@pytest.mark.parametrize("plugin", BUNDLED)
@pytest.mark.parametrize("header_type", ["preserve", "ignore", "b3", "b3-single", "w3c", "jaeger", "ot", "aws", "gcp"])
def test_every_header_type_gives_an_entry_that_passes(plugin: str, header_type: str) -> None:
    """The formats that the older field meant become formats of the schema."""
    made = equivalent(plugin, {"header_type": header_type, "traces_endpoint": "http://c:4318/v1/traces"})

    assert faults_of({"name": "otlp-tracing", "config": made.config}) == []
    assert ("incoming" in made.config["propagation"]) == (header_type == "ignore")


def test_nothing_is_left_out_in_silence() -> None:
    """A field without an equivalent has a note that names it."""
    made = equivalent("zipkin", {"static_tags": [{"name": "a", "value": "b"}], "made_up": 1, "queue": {"max_bytes": 5}})

    for name in ("made_up", "queue.max_bytes"):
        assert any(note.startswith(name) for note in made.notes), name


def test_a_secret_in_a_vault_stays_there() -> None:
    """A reference becomes the whole line, and the note says which text the secret has to hold."""
    made = equivalent("opentelemetry", {"headers": {"authorization": "{vault://env/otlp}"}})

    assert made.config["headers"] == ["{vault://env/otlp}"]
    assert any("authorization: …" in note for note in made.notes)


def test_a_null_is_unset() -> None:
    """As a dump writes fields without a value: no note, and the other field for the endpoint counts."""
    made = equivalent("opentelemetry", {"traces_endpoint": None, "endpoint": "http://c:4318/v1/traces", "made_up": None,
                                        "queue": {"max_retry_time": 60, "max_bytes": None}})  # fmt: skip

    assert made.config["endpoint"] == "http://c:4318/v1/traces"
    assert "batch_export" not in made.config
    assert not any("made_up" in note or "max_bytes" in note for note in made.notes)


def test_static_tags_become_resource_attributes() -> None:
    """They are the same on every span."""
    made = equivalent("zipkin", {"static_tags": [{"name": "team", "value": "edge"}]})

    assert {"key": "team", "value": "edge"} in made.config["resource_attributes"]


@pytest.mark.parametrize(
    "config",
    [
        "text", ["oops"], {"headers": ["a: b"]}, {"headers": "a: b"}, {"resource_attributes": [{"key": "a"}]},
        {"queue": 5}, {"queue": {"max_batch_size": "many"}}, {"propagation": "w3c"}, {"header_type": ["w3c"]},
        {"propagation": {"extract": "w3c"}}, {"static_tags": {}}, {"batch_flush_delay": True},
    ],
)  # fmt: skip
@pytest.mark.parametrize("plugin", BUNDLED)
def test_a_field_of_another_form_is_left_out(plugin: str, config: object) -> None:
    """A note says so; the rest is translated."""
    made = equivalent(plugin, config)

    assert faults_of({"name": "otlp-tracing", "config": made.config}) == []
    assert any("not carried over" in note or "nothing of it" in note for note in made.notes)


@pytest.mark.parametrize(
    ("queue", "batch"),
    [
        ({"max_batch_size": 1, "max_coalescing_delay": 1}, None),
        ({"max_batch_size": 200, "max_coalescing_delay": 1, "max_retry_time": 60}, None),
        ({"max_batch_size": 50, "max_retry_time": 30}, {"send_batch_size": 50, "max_retry_time": 30}),
    ],
)
def test_defaults_of_a_dump_are_not_carried_over(queue: dict[str, Any], batch: dict[str, Any] | None) -> None:
    """A batch of one span, which zipkin's dump has, would be a request a span."""
    assert equivalent("zipkin", {"queue": queue}).config.get("batch_export") == batch


def test_no_note_has_a_password() -> None:
    """Notes are printed, and become comments."""
    made = equivalent("zipkin", {"http_endpoint": "http://u:s3cr3t@zipkin/x", "authorization: s3cr3t": 1})

    assert "s3cr3t" not in "".join(made.notes)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_no_queue_can_have_is_left_out(number: float) -> None:
    """YAML has .nan and .inf, and Kong's schema takes them in some fields."""
    queue = {"max_batch_size": number, "max_coalescing_delay": number, "max_retry_time": number}
    found = equivalent("opentelemetry", {"endpoint": "http://c:4318", "queue": queue})

    assert "batch_export" not in found.config
    assert sum("is not of the form" in note for note in found.notes) == 3


def test_a_retry_time_past_the_bound_is_the_bound() -> None:
    """So the new entry passes the check."""
    found = equivalent("opentelemetry", {"endpoint": "http://c:4318", "queue": {"max_retry_time": 1e9}})

    assert found.config["batch_export"] == {"max_retry_time": 2_592_000}
    assert faults_of({"name": "otlp-tracing", "config": found.config}) == []


def test_a_null_attribute_is_unset() -> None:
    """It is no text None."""
    found = equivalent("opentelemetry", {"resource_attributes": {"a": None, "service.name": None}})

    assert found.config["resource_attributes"] == [{"key": "service.name", "value": "kong"}]


def test_a_zipkin_endpoint_is_noted_without_its_query() -> None:
    """A key in it stays where it was."""
    made = equivalent("zipkin", {"http_endpoint": "http://u:s3cr3t@z/api?key=s3cr3t"})

    assert "s3cr3t" not in str(made)
    assert any("http://…@z/api?… takes Zipkin's format" in note for note in made.notes)


def test_a_static_tag_without_a_name_or_a_value_is_not_carried_over() -> None:
    """It would be an attribute with the text None."""
    tags = [{"name": "a", "value": "b"}, {"name": None, "value": "c"}, {"name": "d", "value": ["e"]}, 5]
    made = equivalent("zipkin", {"static_tags": tags})

    assert made.config["resource_attributes"][1:] == [{"key": "a", "value": "b"}]
    assert "static_tags: a tag without a name or a value is not carried over" in made.notes
