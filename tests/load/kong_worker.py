"""A double of one nginx worker of Kong 3.9.1, as a plugin server sees it.

It starts an instance when it knows none, lets one coroutine do that while the others ask again every
0.1 s, starts it again when the server does not know it, and repeats the event. Unlike Kong it does not
tell other workers to forget their instances too.

Source: kong/runloop/plugin_servers/plugin.lua of Kong 3.9.1 (get_instance_id, reset_instance).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from load.heartbeat import Heartbeat
from load.loop import Task
from load.outcome import Answered500Error, NoInstanceError, StoodStillError, Tally, UnpluggedError

_CLAIM_SECONDS = 0.1
_MAX_WAITS = 100
_STOOD_STILL_SECONDS = 0.4  # half of the time that the server lets an event wait
_MAX_REPEATS = 50  # Kong repeats without end; by then the server does nothing but close


class Rpc(Protocol):
    """The client's side of either protocol."""

    def start_instance(self) -> Task:
        """Start an instance."""

    def handle_event(self, instance: int, phase: str, request: int, field: Any) -> Task:
        """Run an event."""


@dataclass
class _Instance:
    id: int | None = None  # None while it is being started


class KongWorker:
    """Sends requests through one plugin entry.

    Args:
        rpc: the protocol.
        tally: counts the results.
        heartbeat: of this process.
    """

    def __init__(self, rpc: Rpc, tally: Tally, heartbeat: Heartbeat) -> None:
        self._rpc = rpc
        self._tally = tally
        self._heartbeat = heartbeat
        self._instance: _Instance | None = None
        self._under_way: set[int] = set()

    def under_way(self) -> set[int]:
        """Return the numbers of the requests that have begun and not ended; any thread may ask."""
        return set(self._under_way)

    def lane(self, tickets: Iterator[int], pause: Callable[[int], float]) -> Task:
        """Send one request after the other, as long as there are tickets.

        Args:
            tickets: number the requests of all lanes.
            pause: seconds to wait before a request.
        """
        for number in tickets:
            seconds = pause(number)
            if seconds > 0:
                yield seconds
            self._under_way.add(number)
            field, access = yield from self._event("access", number, None)
            _, log = yield from self._event("log", number, field)
            self._tally.request(access, log)
            self._under_way.remove(number)

    def _event(self, phase: str, number: int, field: Any) -> Task:
        started = time.monotonic()
        failure: Exception | None = None
        try:
            field = yield from self._handle(phase, number, field)
        except (UnpluggedError, Answered500Error) as error:
            failure = error
        ended = time.monotonic()
        missed = self._heartbeat.missed(started, ended)
        if isinstance(failure, UnpluggedError) and missed > _STOOD_STILL_SECONDS:
            failure = StoodStillError(str(failure))
        self._tally.event(phase, ended - started - missed, failure)
        return field, failure

    def _handle(self, phase: str, number: int, field: Any) -> Task:
        for _ in range(_MAX_REPEATS):
            instance = yield from self._instance_id()
            try:
                return (yield from self._rpc.handle_event(instance, phase, number, field))
            except NoInstanceError:
                self._tally.repeats += 1
                if self._instance is not None and self._instance.id is not None:
                    self._instance = None
        raise Answered500Error("an endless loop of repeats")

    def _instance_id(self) -> Task:
        for _ in range(_MAX_WAITS):
            if self._instance is None:
                return (yield from self._start())
            if self._instance.id is not None:
                return self._instance.id
            yield _CLAIM_SECONDS
        self._instance = None
        raise UnpluggedError("could not claim an instance")

    def _start(self) -> Task:
        self._instance = instance = _Instance()
        self._tally.starts += 1
        try:
            instance.id = yield from self._rpc.start_instance()
        except (UnpluggedError, Answered500Error, NoInstanceError) as error:
            self._instance = None
            if isinstance(error, Answered500Error):
                raise
            raise Answered500Error(f"starting an instance: {error}") from None
        return instance.id
