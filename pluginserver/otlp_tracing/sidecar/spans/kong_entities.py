"""The attributes of Kong's entities that a request or a connection belongs to."""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.log_record import LogRecord


def entity_attributes(log: LogRecord) -> dict[str, str | None]:
    """Return ids and names of route, service, consumer and workspace, None for those that the record does not have."""
    route, service, consumer = log.route, log.service, log.consumer
    return {
        "kong.route.id": route.id if route else None,
        "kong.route.name": route.name if route else None,
        "kong.service.id": service.id if service else None,
        "kong.service.name": service.name if service else None,
        "kong.consumer.id": consumer.id if consumer else None,
        "kong.consumer.username": consumer.username if consumer else None,
        "kong.workspace.id": log.workspace,
        "kong.workspace.name": log.workspace_name,
    }
