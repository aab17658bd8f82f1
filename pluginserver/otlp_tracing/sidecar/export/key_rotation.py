"""Which destination has replaced another in the plugin entries that sent to it, because a key was changed."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

# As many as entries that a sidecar remembers (entries/registry.py), with a key changed in each of them.
_MAX_PAIRS: Final = 8192

Sender = tuple[str, ...]
"""The signal, and the ids of the route and the service of a plugin entry: Kong has one entry in each scope."""


class KeyRotation:
    """The destinations that each plugin entry was configured with, in order.

    Args:
        max_pairs: bound on pairs of entry and destination; the pair that was configured the longest ago is evicted.
    """

    def __init__(self, max_pairs: int = _MAX_PAIRS) -> None:
        self._max_pairs = max_pairs
        self._pairs: OrderedDict[tuple[Sender, bytes], None] = OrderedDict()

    def configure(self, sender: Sender, identity: bytes) -> None:
        """Note that an entry sends to a destination from now on.

        Args:
            sender: the signal and scope of the entry.
            identity: Destination.identity.
        """
        self._pairs[sender, identity] = None
        self._pairs.move_to_end((sender, identity))
        if len(self._pairs) > self._max_pairs:
            self._pairs.popitem(last=False)

    def successor(self, identity: bytes) -> bytes | None:
        """Return the destination that all entries which sent to this one send to now.

        None if one of them still sends to it, if they send to several, or if none is known.
        """
        latest = dict(tuple(self._pairs))  # of the pairs of an entry, the last one counts
        successors = {latest[sender] for sender, former in self._pairs if former == identity}
        return successors.pop() if len(successors) == 1 and identity not in successors else None
