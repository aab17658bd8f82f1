"""The attributes of Kong's entities that a request or a connection belongs to."""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.log_record import LogRecord
from otlp_tracing.sidecar.spans.model import Attributes, add_text


def add_entities(attributes: Attributes, log: LogRecord) -> None:
    """Add ids and names of route, service, consumer and workspace, those that the record has."""
    route, service, consumer = log.route, log.service, log.consumer
    if route is not None:
        add_text(attributes, "kong.route.id", route.id)
        add_text(attributes, "kong.route.name", route.name)
    if service is not None:
        add_text(attributes, "kong.service.id", service.id)
        add_text(attributes, "kong.service.name", service.name)
    if consumer is not None:
        add_text(attributes, "kong.consumer.id", consumer.id)
        add_text(attributes, "kong.consumer.username", consumer.username)
    add_text(attributes, "kong.workspace.id", log.workspace)
    add_text(attributes, "kong.workspace.name", log.workspace_name)
