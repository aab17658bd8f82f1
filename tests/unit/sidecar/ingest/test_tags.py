"""Promises of sidecar/ingest/tags.py."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.ingest.log_record import Route
from otlp_tracing.sidecar.ingest.tags import MAX_TAGS, tag_value, tags_of


def test_tags_are_those_of_the_entity() -> None:
    """In Kong's order."""
    assert tags_of(Route(tags=["team:payments", "public"])) == ["team:payments", "public"]


@pytest.mark.parametrize("tags", [None, {}, [], "team:payments", 7, [7, None]])
def test_other_values_are_no_tags(tags: object) -> None:
    """Null and Lua's empty table are no tags, and neither is a value of the wrong type that a plugin wrote."""
    assert tags_of(Route(tags=tags)) == []
    assert tags_of(None) == []


def test_a_long_list_is_cut() -> None:
    """The rest of the tags is left out."""
    assert len(tags_of(Route(tags=["t"] * 1000))) == MAX_TAGS


def test_a_pair_has_a_value() -> None:
    """The first tag with the key counts; its value may hold a colon."""
    tags = ["team", "team:payments:eu", "team:other", "empty:"]

    assert [tag_value(tags, key) for key in ("team", "empty", "tea", "")] == ["payments:eu", "", None, None]
