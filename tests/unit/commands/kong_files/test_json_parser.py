"""Promises of commands/kong_files/json_parser.py; check/test_command.py compares it with real Kongs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.commands.kong_files.json_parser import read_json
from otlp_tracing.commands.kong_files.nodes import UnreadableError

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 50), 1 << 50) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(values, st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_it_was_written(value: Any, indent: Any) -> None:
    """With any white space between its parts."""
    assert read_json(json.dumps(value, indent=indent)).value == value


def test_more_numbers_than_jsons_are_read() -> None:
    """As lua-cjson does."""
    assert read_json("[0x10, -Infinity, 01, 1E2]").value == [16, float("-inf"), 1, 100]


def test_every_value_has_its_place() -> None:
    """A field's is that of its key."""
    assert read_json('{\n\t"a": [1,\n {"b": 2}]}').position("a[2].b") == (3, 3)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1,}', (1, 9)),
        ("[1 2]", (1, 4)),
        ("", (1, 1)),
        ('{"a":\n"\\q"}', (2, 2)),
        ("{'a': 1}", (1, 2)),
        ("[1] x", (1, 3)),
        ('{"a"', (1, 5)),
        ("TRUE", (1, 1)),
        ("[" * 5000, (1, 202)),
        ("[1.2.3]", (1, 2)),
        ("{1: 2}", (1, 2)),
        ('"a', (1, 1)),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, place: tuple[int, int]) -> None:
    """Also where another parser would be lenient."""
    with pytest.raises(UnreadableError, match="JSON") as refused:
        read_json(text)
    assert (refused.value.line, refused.value.column) == place
