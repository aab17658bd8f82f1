"""Recognizes requests that were taken before: Kong's queue repeats a batch that it got no answer for."""

from __future__ import annotations

# A repetition comes within seconds: these are ten seconds of 6,000 requests/s, in 14 MB at the most.
_MOST = 65_536


class RepeatedRequests:
    """The requests of late, by the id of their SERVER span: the last 65,536, and up to as many before them."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._latest: set[bytes] = set()
        self._earlier: set[bytes] = set()

    def is_new(self, span_id: bytes) -> bool:
        """Remember a request; return whether it was not remembered before."""
        if span_id in self._latest or span_id in self._earlier:
            return False
        self._latest.add(span_id)
        if len(self._latest) >= self._most:
            self._latest, self._earlier = set(), self._latest
        return True
