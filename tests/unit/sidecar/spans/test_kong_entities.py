"""Promises of sidecar/spans/kong_entities.py."""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.log_record import Consumer, LogRecord, Route, Service
from otlp_tracing.sidecar.spans.kong_entities import add_entities
from otlp_tracing.sidecar.spans.model import Attributes


def test_each_entity_gives_its_id_and_its_name() -> None:
    """A consumer is named by its user name, a workspace by two fields of the record."""
    log = LogRecord(
        route=Route("r", "users-route"),
        service=Service("s", "users"),
        consumer=Consumer("c", "alice"),
        workspace="w",
        workspace_name="default",
    )

    attributes: Attributes = {}
    add_entities(attributes, log)

    assert attributes == {
        "kong.route.id": "r",
        "kong.route.name": "users-route",
        "kong.service.id": "s",
        "kong.service.name": "users",
        "kong.consumer.id": "c",
        "kong.consumer.username": "alice",
        "kong.workspace.id": "w",
        "kong.workspace.name": "default",
    }


def test_an_entity_that_is_not_there_has_no_attribute() -> None:
    """A request without a route has neither a service nor a consumer."""
    attributes: Attributes = {}
    add_entities(attributes, LogRecord())

    assert not attributes
