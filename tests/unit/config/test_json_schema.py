"""Promises of config/json_schema.py: an editor marks the values that Kong refuses, and no others."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from configurations import configurations
from otlp_tracing.config.json_schema import json_schema
from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.config.validation import complete

SCHEMA_OF_FILES = json_schema("otlp-tracing", SCHEMA, "1.0")
VALIDATOR = Draft202012Validator(SCHEMA_OF_FILES)
ENTRY = {"name": "otlp-tracing", "config": {"sampling": {"rate": 7}}}


def faults(document: Any) -> list[str]:
    return [fault.message for fault in VALIDATOR.iter_errors(document)]


def test_it_is_a_json_schema() -> None:
    """The schema itself is valid."""
    Draft202012Validator.check_schema(SCHEMA_OF_FILES)


def test_its_verdicts_are_those_of_kongs_schema() -> None:
    """Each field with values that its rules allow, and values that each breaks."""
    different = [
        config
        for config in configurations(SCHEMA)
        if bool(faults({"plugins": [{"name": "otlp-tracing", "config": config}]})) != bool(complete(SCHEMA, config)[1])
    ]

    assert different == []


@pytest.mark.parametrize(
    "document",
    [
        {"plugins": [ENTRY]},
        {"services": [{"plugins": [ENTRY]}]},
        {"services": [{"routes": [{"plugins": [ENTRY]}]}]},
        {"routes": [{"plugins": [ENTRY]}]},
        {"apiVersion": "configuration.konghq.com/v1", "kind": "KongPlugin", "plugin": "otlp-tracing", **ENTRY},
        {"apiVersion": "configuration.konghq.com/v1", "kind": "KongClusterPlugin", "plugin": "otlp-tracing", **ENTRY},
    ],
)
def test_an_entry_is_found_wherever_kong_takes_one(document: Any) -> None:
    """At the top of kong.yml, under its services and routes, and as a Kubernetes resource."""
    assert faults(document) == ["7 is greater than the maximum of 1"]


def test_the_entries_of_other_plugins_are_not_examined() -> None:
    """Their schemas are Kong's."""
    other = {"name": "cors", "config": {"sampling": {"rate": 7}}}

    assert faults({"plugins": [other], "services": [{"plugins": [other]}], "consumers": [{"username": "a"}]}) == []
