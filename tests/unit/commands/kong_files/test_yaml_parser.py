"""Promises of commands/kong_files/yaml_parser.py; check/test_command.py compares it with real Kongs."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.commands.kong_files.nodes import Node, UnreadableError
from otlp_tracing.commands.kong_files.yaml_parser import read_yaml


def value_of(text: str) -> Any:
    return read_yaml(text.encode())[0].value


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("y", "y"),
        ("!!bool y", True),
        ("~", None),
        ("", None),
        ("2024-02-30", "2024-02-30"),
        ("1e3", 1000.0),
        ("0x10", 16),
        ("010", 8),
        ("08", 8),
        ("-0b11", -3),
        ("1_000", 1000),
        ("1:30", 90),
        ("-1:30.5", -90.5),
        ("'1'", "1"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("text", "text"),
        ("!!str 1", "1"),
        ("!x 1", 1),
        ("!x '1'", "1"),
        ("!!int '1'", 1),
        ("!!float 1", 1),
        ("0x1.8p1", 3.0),
        ("1d", "1d"),
        ("+.inf", float("inf")),
        ("!!null x", None),
    ],
)
def test_scalars_have_the_types_of_kongs_parser(scalar: str, value: Any) -> None:
    """YAML 1.1 as lyaml reads it, which knows no dates."""
    found = value_of(f"a: {scalar}")["a"]

    assert found == value
    assert isinstance(found, bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{1: a, 2: b}", ["a", "b"]),
        ("{2: a}", {"2": "a"}),
        ("{x: &a {b: 1, c: 2}, y: {<<: *a, c: 3}}", {"b": 1, "c": 3}),
        ("{x: &a {b: 1}, z: &b {b: 2}, y: {<<: [*a, *b]}}", {"b": 1}),
        ("{y: {b: 1, <<: {b: 2}}}", {"b": 1}),
        ("{x: &a 1, z: &a 2, y: *a}", 2),
        ("{y: 1, y: 2}", 2),
    ],
)
def test_records_are_made_as_lua_tables_are(text: str, value: Any) -> None:
    """With lists in them, merged keys, and keys that are written twice."""
    found = value_of(text)

    assert found.get("y", found) == value if isinstance(found, dict) else found == value


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        ("a:\n  - name: x\n  config: {}\n", (3, 3), "config must be under name, 2 columns further right"),
        ("a:\n   b: 1\n  c: 2\n", (3, 3), "is indented by 2 columns; the fields above it, from line 1 on, by 0"),
        ("a: b: c", (1, 5), "write the text in quotes"),
        ("a:\n\t- b", (2, 1), "a tab; YAML is indented with spaces"),
        ("a: *b", (1, 4), "no anchor of this name is above it"),
        ("a: &b [*b]", (1, 8), "an alias refers to itself"),
        ("a: \x07", (1, 1), "it has a control character"),
        ("a: !!int x", (1, 4), "!!int with another value"),
        ("a: {<<: 1}", (1, 9), "<<: must be a record"),
        ("[" * 5000, (1, 202), "is nested too deeply"),
        ("a = b\nc = d\ne", (1, 1), ""),
        ('a: "b', (1, 6), "is not YAML: found unexpected end of stream, while scanning"),
    ],
)
def test_a_fault_is_told_with_its_place_and_a_way_out(text: str, place: tuple[int, int], sentence: str) -> None:
    """In words for a person who wrote YAML by hand."""
    if not sentence:
        assert isinstance(value_of(text), str)
        return
    with pytest.raises(UnreadableError) as refused:
        read_yaml(text.encode())
    assert (refused.value.line, refused.value.column) == place
    assert sentence in refused.value.reason


def test_aliases_cost_what_they_stand_for() -> None:
    """A small file that means a billion values is refused."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    with pytest.raises(UnreadableError, match="too many values"):
        read_yaml("\n".join(lines).encode())


def test_every_value_has_its_place() -> None:
    """A field's is that of its key; what is written twice is found at any depth."""
    node: Node = read_yaml(b"a: 1\nb: [{c: 1, c: 2}]\na: 2")[0]

    assert node.position("a") == (3, 1)
    assert node.position("b[1].c") == (2, 12)
    assert [(one.line, one.column, one.value) for one in node.all_twice()] == [(3, 1, "a"), (2, 12, "c")]
