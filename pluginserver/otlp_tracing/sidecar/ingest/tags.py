"""The tags of Kong's entities, as the record has them.

A tag is a text; one of the form `key:value` is a pair, by a custom of Kong's users.

Source: kong/db/schema/typedefs.lua of Kong 3.9.1: a set of strings, or null.
"""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.log_record import Consumer, Route, Service

MAX_TAGS = 64
"""Tags that are read of an entity. Kong has no bound; tags that people write are far fewer."""


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
