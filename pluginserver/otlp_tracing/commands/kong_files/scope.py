"""The scope of an entry, which decides for which requests it runs.

Source: kong/runloop/plugins_iterator.lua of Kong 3.9.1 (lookup_cfg).
"""

from __future__ import annotations

from dataclasses import dataclass

EntityKey = str | tuple[int, int] | None
"""Of an entity: its name or its id; without either, its line and column in the file; None for no entity."""


@dataclass(frozen=True)
class Scope:
    """The entities that an entry belongs to; the service of a route is known where the file shows it."""

    service: EntityKey = None
    route: EntityKey = None
    consumer: EntityKey = None
    consumer_group: EntityKey = None

    @property
    def has_consumer(self) -> bool:
        """Tell whether the entry runs for the requests of a consumer, or of a group of consumers."""
        return self.consumer is not None or self.consumer_group is not None

    @property
    def identity(self) -> tuple[EntityKey, ...]:
        """Equal for entries of the same scope."""
        # An entry in a route belongs to the route, whose service is only around it.
        return self.consumer, self.consumer_group, self.route, None if self.route else self.service

    def covers(self, other: Scope) -> bool:
        """Tell whether every request of the other scope is one of this, as far as the file shows it."""
        if self.route:
            return self.route == other.route
        return not self.service or self.service == other.service
