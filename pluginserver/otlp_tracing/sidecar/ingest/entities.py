"""The names and tags of Kong's entities that a record belongs to: of its route, service and consumer.

A tag is a text. Kong's users often write `key:value` in it, which is read as a pair.

Source: kong/db/schema/typedefs.lua of Kong 3.9.1: tags are a set of strings, or null.
"""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.log_record import Consumer, LogRecord, Named, Route, Service

MAX_TAGS = 64
"""Tags that are read of an entity. Kong has no bound; tags that people write are far fewer."""


def names_of(entity: Named | None) -> list[str]:
    """Return the name and the id of a route or a service, as far as it has them; empty for None."""
    return [name for name in (entity.name, entity.id) if name] if entity is not None else []


def consumer_names(log: LogRecord) -> list[str]:
    """Return the consumer's user name, custom id and id, as far as it has them; empty without a consumer."""
    one = log.consumer
    return [name for name in (one.username, one.custom_id, one.id) if name] if one is not None else []


def all_tags(log: LogRecord) -> list[str]:
    """Return the tags of the route, the service and the consumer."""
    return [*tags_of(log.route), *tags_of(log.service), *tags_of(log.consumer)]


def tags_of(entity: Route | Service | Consumer | None) -> list[str]:
    """Return the tags of an entity; empty without one, and for anything else than a list of texts."""
    tags = entity.tags if entity is not None else None
    if not tags or not isinstance(tags, list):
        return []
    return [tag for tag in tags[:MAX_TAGS] if isinstance(tag, str)]


def tag_value(tags: list[str], key: str) -> str | None:
    """Return the value of the first tag `key:value`; None without one."""
    for tag in tags:
        name, colon, value = tag.partition(":")
        if colon and name == key:
            return value
    return None
