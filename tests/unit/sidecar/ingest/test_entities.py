"""Promises of sidecar/ingest/entities.py."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.ingest.entities import MAX_TAGS, all_tags, consumer_names, names_of, tag_value, tags_of
from otlp_tracing.sidecar.ingest.log_record import Consumer, LogRecord, Route, Service


def test_a_record_has_the_names_and_tags_of_its_entities() -> None:
    """Names that are unset are left out."""
    log = LogRecord(
        route=Route(id="r", tags=["a"]),
        service=Service(id="s", name="users", tags=["b"]),
        consumer=Consumer(id="c", custom_id="7", tags=["d"]),
    )

    assert (names_of(log.route), names_of(log.service)) == (["r"], ["users", "s"])
    assert consumer_names(log) == ["7", "c"]
    assert all_tags(log) == ["a", "b", "d"]


def test_a_record_without_entities_has_none() -> None:
    """As of a request without a route."""
    assert (names_of(None), consumer_names(LogRecord()), all_tags(LogRecord())) == ([], [], [])


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
