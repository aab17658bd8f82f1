"""How an event ended for the client of Kong, and the count of it."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from typing import Any

_MAX_INCIDENTS = 50
_UNANSWERED_SECONDS = 1.0


class UnpluggedError(Exception):
    """The client gets its answer, and the plugin has not done its work."""


class StoodStillError(UnpluggedError):
    """The same, while this process did not run, and so perhaps the whole machine.

    The server closes an event that has waited for nine tenths of a second unanswered, since Kong does not wait longer.
    """


class Answered500Error(Exception):
    """The client gets a 500."""


class Reset500Error(Answered500Error):
    """The same, because the connection was closed with unread bytes, which Kong 3.9 does not repeat."""


class NoInstanceError(Exception):
    """Kong starts the instance again and repeats the event; its client notices nothing."""


class Tally:
    """Counts the results of requests and of their events."""

    def __init__(self) -> None:
        self.requests = 0
        self.traced = 0
        self.stood_still = 0
        self.unplugged: Counter[str] = Counter()
        self.would_be_500: Counter[str] = Counter()
        self.reset_500: Counter[str] = Counter()
        self.refused = 0
        self.unanswered = 0
        self.starts = 0
        self.repeats = 0
        self._started = time.monotonic()
        self._seconds = array("d")
        self._incidents: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Forget everything so far."""
        self.__init__()  # type: ignore[misc]  # the same object, as new

    def event(self, phase: str, seconds: float, failure: Exception | None) -> None:
        """Count one event, and its failure.

        Args:
            phase: access or log.
            seconds: that it took, without those in which this process did not run.
            failure: the kind of failure, if any.
        """
        self._seconds.append(seconds)
        self.unanswered += seconds > _UNANSWERED_SECONDS
        if (failure or seconds > _UNANSWERED_SECONDS) and len(self._incidents) < _MAX_INCIDENTS:
            self._incidents.append(
                {
                    "after_seconds": round(time.monotonic() - self._started, 3),
                    "phase": phase,
                    "took_ms": round(seconds * 1e3, 1),
                    "failure": f"{type(failure).__name__}: {failure}" if failure else "",
                }
            )

    def request(self, access: Exception | None, log: Exception | None) -> None:
        """Count one request by the worse of its two events; nothing that fails in `log` reaches the client."""
        self.requests += 1
        if isinstance(access, Reset500Error):
            self.reset_500[f"access: {access}"] += 1
        elif isinstance(access, Answered500Error):
            self.would_be_500[f"access: {access}"] += 1
        elif (access or log) and all(one is None or isinstance(one, StoodStillError) for one in (access, log)):
            self.stood_still += 1
        elif access or log:
            self.unplugged[f"access: {access}" if access else f"log: {log}"] += 1
        else:
            self.traced += 1

    def summary(self) -> dict[str, Any]:
        """Return everything, as JSON can hold it."""
        seconds = time.monotonic() - self._started
        ordered = sorted(self._seconds)
        return {
            "seconds": seconds,
            "requests": self.requests,
            "requests_per_second": self.requests / seconds,
            "traced": self.traced,
            "stood_still": self.stood_still,
            "unplugged": dict(self.unplugged),
            "would_be_500": dict(self.would_be_500),
            "reset_500": dict(self.reset_500),
            "refused": self.refused,
            "unanswered": self.unanswered,
            "starts": self.starts,
            "repeats": self.repeats,
            "events": len(ordered),
            "event_ms": {name: _share(ordered, share) * 1e3 for name, share in _SHARES.items()},
            "incidents": self._incidents,
        }


_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
