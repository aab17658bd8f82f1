"""Promises of sidecar/ingest/entities.py."""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.entities import all_tags, consumer_names, names_of
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
