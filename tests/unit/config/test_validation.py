"""Promises of config/validation.py."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.config.validation import complete, is_vault_reference, unresolved_references

FIELDS: list[dict[str, dict[str, Any]]] = [
    {"name": {"type": "string", "required": True, "match": "^[a-z]+$", "err": "must be lower case"}},
    {"size": {"type": "integer", "default": 5, "between": [1, 10]}},
    {"rate": {"type": "number"}},
    {"kinds": {"type": "array", "default": [], "len_max": 3, "elements": {"type": "string", "one_of": ["a", "b"]}}},
    {"key": {"type": "string", "encrypted": True, "referenceable": True, "len_min": 8}},
    {"inner": {"type": "record", "required": True, "fields": [{"on": {"type": "boolean", "default": True}}]}},
    {"color": {"type": "string", "one_of": ["green", "purple"]}},
    {"labels": {"type": "map", "keys": {"type": "string"}, "values": {"type": "integer"}}},
]


def faults(config: object) -> list[str]:
    return [str(fault) for fault in complete(FIELDS, config)[1]]


def test_defaults_are_filled_in() -> None:
    """A missing field gets its default, a record its fields' defaults, any other field None."""
    completed, found = complete(FIELDS, {"name": "x"})

    assert not found
    assert completed == {
        "name": "x", "size": 5, "rate": None, "kinds": [], "key": None, "inner": {"on": True},
        "color": None, "labels": None,
    }  # fmt: skip


def test_every_fault_is_found_at_once() -> None:
    """All faults are listed, each with its field, its value and the rule."""
    assert faults({"name": "X", "size": 11, "kinds": ["a", "c"], "inner": {"on": "yes"}, "more": 1}) == [
        "more: no such field; there are name, size, rate, kinds, key, inner, color, labels",
        'name = "X": must be lower case',
        "size = 11: must be between 1 and 10",
        'kinds[2] = "c": must be one of a, b',
        'inner.on = "yes": must be a boolean',
    ]


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({}, "name: is required"),
        ({"name": 3}, "name = 3: must be a string"),
        ({"name": "x", "size": 2.5}, "size = 2.5: must be an integer"),
        ({"name": "x", "size": True}, "size = true: must be an integer"),
        ({"name": "x", "kinds": "a"}, 'kinds = "a": must be an array of strings'),
        ({"name": "x", "inner": "on"}, 'inner = "on": must be a record of named fields'),
        ({"name": "x", "color": "Grean"}, 'color = "Grean": must be one of green, purple; did you mean green?'),
        (
            {"name": "x", "labels": {}, "size": 3, "kinds": ["a"] * 4},
            'kinds = ["a", "a", "a", "a"]: must have at most 3 characters or elements',
        ),
        ({"name": "x", "labels": {"a": "b"}}, 'labels.a = "b": must be an integer'),
        ("text", "config: must be a record of named fields"),
    ],
)
def test_types_are_held(config: object, fault: str) -> None:
    """A value of another type is named together with the type it must have."""
    assert fault in faults(config)


def test_a_secret_is_not_shown() -> None:
    """A fault in an encrypted field names the field and the rule, never the value."""
    assert faults({"name": "x", "key": "hunter2"}) == ["key: must have at least 8 characters or elements"]


@pytest.mark.parametrize("headers", [{"authorization": "hunter2"}, "hunter2", ["a: hunter2\n"], [["hunter2"]]])
def test_a_value_in_the_place_of_secrets_is_not_shown(headers: object) -> None:
    """A list of secrets that was written in another form is a secret too."""
    found = complete(SCHEMA, {"headers": headers})[1]

    assert [fault.field for fault in found] in (["headers"], ["headers[1]"])
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("siez", "siez: no such field; did you mean size?"),
        ("Kinds", "Kinds: no such field; did you mean kinds?"),
        ("xyzzy", "xyzzy: no such field; there are name, size, rate, kinds, key, inner, color, labels"),
    ],
)
def test_a_misspelled_field_is_recognized(name: str, sentence: str) -> None:
    """The fault names the field that was probably meant, otherwise all fields."""
    assert faults({"name": "x", name: 1}) == [sentence]


def test_an_unknown_field_without_a_value_is_not_shown() -> None:
    """YAML reads `{inner: ,hunter2}` as a field hunter2, which is a value, and may be a secret."""
    assert faults({"name": "x", "inner": {"hunter2": None}}) == [
        "inner: has an unknown field without a value; there are on"
    ]
    assert faults({"name": "x", "hunter2": None})[0].startswith("has an unknown field without a value; there are name")


def test_the_form_of_a_list_is_told() -> None:
    """A list of records names their fields."""
    assert [str(fault) for fault in complete(SCHEMA, {"resource_attributes": {"a": "b"}})[1]] == [
        'resource_attributes = {"a": "b"}: must be an array of records {key, value}'
    ]


def test_the_form_of_a_value_is_told() -> None:
    """The rule of a list's elements, and the unit of a number."""
    found = complete(SCHEMA, {"headers": {"a": "b"}, "batch_export": {"timeout": "5s"}})[1]

    assert [one.rule for one in found] == [
        "must be an array of strings; each must be a line `name: value`, or wholly a reference {vault://…}",
        "must be an integer, in milliseconds",
    ]


def test_a_null_in_a_list_is_refused() -> None:
    """As Kong does."""
    assert "headers[1]: is required" in str(complete(SCHEMA, {"headers": [None]})[1][0])


def test_a_vault_reference_passes_where_it_may_stand() -> None:
    """Kong resolves a reference that is the whole value, so no rule applies to it before."""
    assert not faults({"name": "x", "key": "{vault://env/k}"})
    assert is_vault_reference("{vault://env/k}")
    assert not is_vault_reference("x: {vault://env/k}")


@pytest.mark.parametrize("empty", [None, {}, []])
def test_an_empty_table_of_lua_is_a_record_and_a_list(empty: object) -> None:
    """Lua's empty table arrives as an object or a list; both are empty."""
    assert complete([{"kinds": FIELDS[3]["kinds"]}], {"kinds": empty or {}})[0] == {"kinds": []}
    assert complete(FIELDS, empty)[0]["inner"] == {"on": True}


def test_a_number_without_fraction_is_an_integer() -> None:
    """Kong's JSON writes 5 as 5.0 now and then."""
    completed, found = complete(FIELDS, {"name": "x", "size": 5.0})

    assert not found
    assert repr(completed["size"]) == "5"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)
some_config = st.dictionaries(st.sampled_from([name for field in SCHEMA for name in field]), json_values)


@given(some_config | json_values)
def test_any_configuration_gives_faults_or_none(config: object) -> None:
    """Whatever is configured, the answer is a list of faults, never an exception."""
    complete(SCHEMA, config)


@pytest.mark.parametrize(
    "value", [pytest.param(1 << 20_000, id="many digits"), {datetime.date(2020, 1, 1): 1}, {"a": {b"b": 1}}]
)
def test_a_value_that_json_cannot_write_is_not_shown(value: object) -> None:
    """YAML has integers of any size, and dates and bytes as keys."""
    _, faults = complete([{"sampling": {"type": "string"}}], {"sampling": value})

    assert [str(fault) for fault in faults] == ["sampling: must be a string"]


def test_a_name_that_is_not_known_is_cut() -> None:
    """A damaged file can have a name of its own size."""
    _, faults = complete([{"sampling": {"type": "string"}}], {"s" * 5000: 1})

    assert len(str(faults[0])) < 200


def test_a_missing_record_is_filled_in_and_null_is_not() -> None:
    """Kong fills in the defaults of a record that is missing, and refuses null in its place."""
    assert faults({"name": "x"}) == []
    assert faults({"name": "x", "inner": None}) == ["inner: is required"]


def test_an_empty_string_is_a_fault() -> None:
    """Kong takes no empty string unless a schema allows it: kong/db/schema/init.lua, len_min."""
    assert faults({"name": ""}) == [
        'name = "": must be lower case',
        'name = "": must have at least 1 characters or elements',
    ]


REFERENCE = "{vault://env/otlp-header}"


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        ({"headers": [""], "$refs": {"headers": [REFERENCE]}}, ["headers"]),
        ({"headers": ["a: b", ""], "$refs": {"headers": {"2": REFERENCE}}}, ["headers"]),
        ({"headers": ["a: b"], "$refs": {"headers": [REFERENCE]}}, []),
        ({"endpoint": "", "$refs": {"endpoint": REFERENCE}}, ["endpoint"]),
        ({"tls": {"client_key": None, "$refs": {"client_key": REFERENCE}}}, ["tls.client_key"]),
        ({"headers": ["a: b"]}, []),
    ],
)
def test_a_reference_without_a_value_is_named(config: dict[str, Any], fields: list[str]) -> None:
    """Kong gives an empty text for it; the fault has the field and the reference."""
    found = list(unresolved_references(config))

    assert [fault.field for fault in found] == fields
    assert all(REFERENCE in str(fault) and "Kong finds no value" in str(fault) for fault in found)


@given(st.recursive(st.none() | st.text(max_size=3), lambda any_: st.lists(any_) | st.dictionaries(st.text(), any_)))
def test_references_of_any_shape_are_read(references: object) -> None:
    """Whatever Kong passes, looking at it raises nothing."""
    assert not list(unresolved_references({"headers": [""], "$refs": references, "tls": {"$refs": references}}))
