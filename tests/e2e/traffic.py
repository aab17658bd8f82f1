"""Requests in a thread while something happens to the gateway."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from e2e.gateways import RunningGateway
from e2e.waiting import wait_for

_SECONDS = 30.0


@dataclass
class Traffic:
    """Requests in a thread, one after another, with their results."""

    gateway: RunningGateway
    statuses: Counter[int | str] = field(default_factory=Counter)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Send requests until the block ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._send, args=(stop,), name="traffic")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def wait_for_more(self, requests: int) -> None:
        """Wait until so many more were answered."""
        goal = self.statuses.total() + requests
        wait_for(lambda: self.statuses.total() >= goal, _SECONDS, f"{requests} more requests are answered")

    def _send(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.statuses[self.gateway.get("/api/1").status] += 1
            except OSError as error:
                self.statuses[repr(error)] += 1
