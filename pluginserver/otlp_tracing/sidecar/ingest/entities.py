"""The names and tags of Kong's entities that a record belongs to: of its route, service and consumer."""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.log_record import LogRecord, Route, Service
from otlp_tracing.sidecar.ingest.tags import tags_of


def all_tags(log: LogRecord) -> list[str]:
    """Return the tags of the route, the service and the consumer."""
    return [*tags_of(log.route), *tags_of(log.service), *tags_of(log.consumer)]


def names_of(entity: Route | Service | None) -> list[str]:
    """Return name and id of a route or a service; none without one."""
    return [name for name in (entity.name, entity.id) if name] if entity is not None else []


def consumer_names(log: LogRecord) -> list[str]:
    """Return the consumer's user name, custom id and id; none without a consumer."""
    one = log.consumer
    return [name for name in (one.username, one.custom_id, one.id) if name] if one is not None else []
