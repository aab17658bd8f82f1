"""The table of the attributes that spans share: those that do not change from request to request of a route."""

from __future__ import annotations

from typing import Final

from otlp_tracing.sidecar.spans.model import Attributes, SharedAttributes

# Routes times their methods, statuses and hosts. With their encoding they take 10 MiB at the worst, by the next bound.
_MAX_SETS: Final = 2048
# Longer ones have a text that a client made up, such as a host. Names and ids of Kong's entities take 300.
_MAX_CHARACTERS: Final = 1024

SharedKey = tuple[object, ...]
"""Everything that decides about the attributes, in particular all of their values."""


class SharedTable:
    """Remembers sets of attributes. One that is not remembered costs as much as without the table."""

    def __init__(self) -> None:
        self._sets: Final[dict[SharedKey, SharedAttributes]] = {}

    def get(self, key: SharedKey) -> SharedAttributes | None:
        """Return a set that is remembered."""
        return self._sets.get(key)

    def add(self, key: SharedKey, attributes: Attributes) -> SharedAttributes:
        """Remember a set, and forget the oldest past the bound.

        Args:
            key: of the set.
            attributes: must not be changed afterwards.
        """
        shared = SharedAttributes(attributes)
        if sum([len(value) for value in attributes.values() if isinstance(value, str)]) <= _MAX_CHARACTERS:
            if len(self._sets) >= _MAX_SETS:
                del self._sets[next(iter(self._sets))]
            self._sets[key] = shared
        return shared
