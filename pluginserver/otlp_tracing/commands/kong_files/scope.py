"""The scope of an entry, which decides for which requests it runs.

Source: kong/runloop/plugins_iterator.lua of Kong 3.9.1 (lookup_cfg).
"""

from __future__ import annotations

from dataclasses import dataclass

from otlp_tracing.commands.kong_files.documents import Entry


@dataclass(frozen=True)
class Scope:
    """The parts of an entry's scope, each in words; the service is known where the file shows it."""

    route: str
    service: str
    consumer: str

    @classmethod
    def of(cls, entry: Entry) -> Scope:
        """Return the scope of an entry."""
        parts = {words.partition(" ")[0]: words for words in entry.place.split(", ")}
        return cls(parts.get("route", ""), parts.get("service", ""), parts.get("consumer", ""))

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for entries of the same scope."""
        # An entry in a route belongs to the route, whose service is only around it.
        return self.consumer, self.route, "" if self.route else self.service

    def covers(self, other: Scope) -> bool:
        """Tell whether every request of the other scope is one of this, as far as the file shows it."""
        if self.route:
            return self.route == other.route
        return not self.service or self.service == other.service
