"""The attributes of Kong's entities that a request or a connection belongs to."""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.log_record import LogRecord
from otlp_tracing.sidecar.spans.model import Attributes, add_text


def add_entities(attributes: Attributes, log: LogRecord) -> None:
    """Add ids and names of route, service, consumer and workspace, those that the record has."""
    add_configured(attributes, log)
    add_consumer(attributes, log)


def add_configured(attributes: Attributes, log: LogRecord) -> None:
    """Add those of route, service and workspace, which all requests of a route have in common."""
    route, service = log.route, log.service
    if route is not None:
        add_text(attributes, "kong.route.id", route.id)
        add_text(attributes, "kong.route.name", route.name)
    if service is not None:
        add_text(attributes, "kong.service.id", service.id)
        add_text(attributes, "kong.service.name", service.name)
    add_text(attributes, "kong.workspace.id", log.workspace)
    add_text(attributes, "kong.workspace.name", log.workspace_name)


def add_consumer(attributes: Attributes, log: LogRecord) -> None:
    """Add those of the consumer."""
    consumer = log.consumer
    if consumer is not None:
        add_text(attributes, "kong.consumer.id", consumer.id)
        add_text(attributes, "kong.consumer.username", consumer.username)
