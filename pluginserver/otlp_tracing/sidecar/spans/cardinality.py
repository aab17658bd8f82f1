"""A bound on the names of spans and metrics.

A backend keeps an index, often a metric, per span name: a gateway that sends it a new name a minute costs money and
hides the rest. Names come from routes, which are configured, and from gRPC methods, which a client can invent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

# More routes or methods of one service than a person can tell apart in a list.
MAX_NAMES_PER_OWNER = 500
# About 2 MiB of names, ten times as many as backends advise for one service.
MAX_NAMES = 10_000


class CardinalityLimit:
    """Remembers the names in use, up to a bound, until the process ends.

    Args:
        on_refused: is called with the kind of each name that is not admitted.
    """

    def __init__(
        self,
        on_refused: Callable[[str], None] = lambda _kind: None,
        max_names_per_owner: int = MAX_NAMES_PER_OWNER,
        max_names: int = MAX_NAMES,
    ) -> None:
        self._on_refused = on_refused
        self._max_names_per_owner = max_names_per_owner
        self._max_names = max_names
        self._names: set[tuple[str, str, str]] = set()
        self._owned: Counter[tuple[str, str]] = Counter()

    def knows(self, kind: str, owner: str, name: str) -> bool:
        """Tell whether the name is in use; never admits one."""
        return (kind, owner, name) in self._names

    def admit(self, kind: str, owner: str, name: str) -> bool:
        """Tell whether the name may be used, and remember it if so.

        Args:
            kind: of the named thing; each kind has its own names.
            owner: of the name, such as a service's id.
            name: of any length.
        """
        if (kind, owner, name) in self._names:
            return True
        if len(self._names) >= self._max_names or self._owned[kind, owner] >= self._max_names_per_owner:
            self._on_refused(kind)
            return False
        self._names.add((kind, owner, name))
        self._owned[kind, owner] += 1
        return True
