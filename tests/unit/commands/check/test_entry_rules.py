"""Promises of commands/check/entry_rules.py; test_command.py has the faults as a person sees them."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.commands.check.entry_rules import faults_of, inspect


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"tags": ["a,b"]}, 'tags[1] = "a,b": must not have `,`, `/` or a control character'),
        ({"ordering": {}}, "ordering: no such field: open-source Kong has no ordering of plugins"),
        ({"endpoint": "http://c"}, "endpoint: belongs under config: indent it further"),
        ({"consumer_group": "gold"}, "consumer_group: cannot be set: the plugin runs before the consumer is known"),
        ({"entpoint": None}, "has an unknown field without a value; there are "),
    ],
)
def test_a_field_of_the_entry_has_one_fault(entry: dict[str, Any], sentence: str) -> None:
    """An unknown field has the sentence that helps; a known one with a wrong value has its rule."""
    (fault,) = faults_of({"name": "otlp-tracing", **entry})

    assert str(fault).startswith(sentence)


@pytest.mark.parametrize(
    ("endpoint", "end"),
    [
        ("http://c:43170000", "; the port must be a number from 1 to 65535"),
        ("http://c:0", "; the port must be a number from 1 to 65535"),
        ("http://c:http", "; the port must be a number from 1 to 65535"),
        ("ftp://u:$pass@c", "or https://host:port, without user or password"),
        (
            "${OTLP_ENDPOINT}",
            "without user or password; Kong does not replace ${OTLP_ENDPOINT}: write {vault://env/otlp-endpoint} "
            "as the whole value, which Kong reads from OTLP_ENDPOINT",
        ),
        ("http://$HOST:4317", "; Kong does not replace $HOST: write {vault://env/host} as the whole value, which Kong"),
        (
            "http://c:${PORT}",
            "; Kong does not replace ${PORT}: write {vault://env/port} as the whole value, which Kong",
        ),
    ],
)
def test_the_wrong_part_of_an_endpoint_is_named(endpoint: str, end: str) -> None:
    """The port, or a variable of a shell, which Kong takes as it is."""
    (fault,) = faults_of({"name": "otlp-tracing", "config": {"endpoint": endpoint}})

    assert end in fault.rule
    assert fault.rule.count("Kong does not replace") == ("Kong does not" in end)


def test_a_value_that_deck_fills_in_is_not_judged() -> None:
    """The rest of the configuration is, and decK's own fields of an entry are known."""
    config = {"endpoint": '${{ env "DECK_X" }}', "sampling": {"rate": 2}}
    faults, warnings = inspect({"name": "otlp-tracing", "config": config, "_config": "shared"}, is_deck=True)

    assert [fault.field for fault in faults] == ["config.sampling.rate"]
    assert [field for field, _ in warnings] == ["config"]
