"""The plugin entries that trace nothing, or not all that they say, for `status` and `doctor`.

The log has their faults too, but its last lines may be of something else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_MAX_ENTRIES = 100  # more than a person reads; the next bounds make it a few megabytes at the most
# Another program may write to the socket, and the schema bounds no number of faults.
_MAX_FAULTS, _MAX_TEXT, _MAX_ID = 10, 1000, 64


@dataclass(frozen=True, slots=True)
class FaultyEntry:
    """An entry with a fault.

    Args:
        name: Kong's id of it.
        scope: ids of its route and its service; entry_identity.entry_scope.
        faults: each a sentence that names the field.
        traces: only a part of it is left out.
    """

    name: str
    scope: tuple[str, str]
    faults: Sequence[str]
    traces: bool = False


class FaultyEntries:
    """One entry of each scope at most, as Kong has it: a corrected entry replaces the faulty one.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._entries: dict[tuple[str, str], tuple[FaultyEntry, float]] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, entry: FaultyEntry) -> None:
        """Note that this is the entry of its scope now; the oldest is dropped if there are too many."""
        entry = _bounded(entry)
        known = self._entries.get(entry.scope)
        if known is not None and known[0] == entry:
            return
        self._entries.pop(entry.scope, None)
        self._entries[entry.scope] = entry, self._clock()
        if len(self._entries) > _MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]

    def remove(self, scope: tuple[str, str]) -> None:
        """Note that the entry of a scope has no fault."""
        self._entries.pop(scope, None)

    def report(self) -> list[dict[str, Any]]:
        """Return them, the oldest first: Kong's ids, whether it traces, its faults, and seconds since the first."""
        now = self._clock()
        return [
            {
                "entry": one.name,
                "route": one.scope[0],
                "service": one.scope[1],
                "traces": one.traces,
                "faults": list(one.faults),
                "since_s": max(0.0, round(now - since, 1)),
            }
            for one, since in self._entries.values()
        ]


def _bounded(entry: FaultyEntry) -> FaultyEntry:
    route, service = (one[:_MAX_ID] for one in entry.scope)
    faults = tuple(fault[:_MAX_TEXT] for fault in entry.faults[:_MAX_FAULTS])
    return FaultyEntry(entry.name[:_MAX_ID], (route, service), faults, entry.traces)
