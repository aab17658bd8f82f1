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


def test_a_value_that_deck_fills_in_is_not_judged() -> None:
    """The rest of the configuration is, and decK's own fields of an entry are known."""
    config = {"endpoint": '${{ env "DECK_X" }}', "sampling": {"rate": 2}}
    faults, warnings = inspect({"name": "otlp-tracing", "config": config, "_config": "shared"}, is_deck=True)

    assert [fault.field for fault in faults] == ["config.sampling.rate"]
    assert [field for field, _ in warnings] == ["config"]
