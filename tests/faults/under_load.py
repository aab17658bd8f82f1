"""Load from two processes while something happens, and checks of its result."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from faults.plugin_server import WORKERS, Group
from load.clients import LoadClient, load_clients

CLIENTS = 2
_RATE = 150  # a client; well below the machine's capacity, so that nothing waits for a core
_MAX_SECONDS = 900
_PROBE_REQUESTS = 50


class Load:
    """The clients' results; empty until they have ended.

    Args:
        clients: that are under way.
    """

    def __init__(self, clients: Sequence[LoadClient] = ()) -> None:
        self.results: list[dict[str, Any]] = []
        self._clients = clients

    def settle(self) -> None:
        """Wait until every request has ended that is under way now: the next fault is to meet others."""
        for client in self._clients:
            client.wait_until_settled()

    def total(self, name: str) -> int:
        """Add a count up over the clients and its reasons."""
        return sum(sum(one[name].values()) if isinstance(one[name], dict) else one[name] for one in self.results)

    def assert_harmless(self, *, resets: bool = False) -> None:
        """Assert that no client of Kong's got a 500 or waited, and that no connection was refused.

        How long an event took is without the time in which the load client itself did not run (load/heartbeat.py).

        Args:
            resets: a process was killed, with bytes unread: over ProtoBuf Kong 3.9 has no way to repeat those.
        """
        said = json.dumps(self.results, indent=1)
        assert self.total("requests"), said
        assert self.total("would_be_500") == 0, said
        assert self.total("refused") == 0, said
        assert self.total("unanswered") == 0, said
        if not resets:
            assert self.total("reset_500") == 0, said

    def assert_untouched(self) -> None:
        """Assert that every request was traced, but for those during which the client itself stood still."""
        self.assert_harmless()
        traced = self.total("traced") + self.total("stood_still")
        assert traced == self.total("requests"), json.dumps(self.results, indent=1)

    def __str__(self) -> str:
        names = (
            "requests",
            "traced",
            "stood_still",
            "unplugged",
            "would_be_500",
            "reset_500",
            "refused",
            "unanswered",
            "repeats",
        )
        slowest = max(one["event_ms"]["max"] for one in self.results)
        return ", ".join(f"{name} {self.total(name)}" for name in names) + f", slowest event {slowest:.0f} ms"


@contextlib.contextmanager
def load_on(group: Group, rate: float = _RATE) -> Iterator[Load]:
    """Put load on a server, one client a worker, for as long as the block runs."""
    options = ["--concurrency", "8", "--rate", str(rate), "--seconds", str(_MAX_SECONDS)]
    with load_clients(CLIENTS, group.socket, group.protocol, options, slots=WORKERS) as clients:
        load = Load(clients)
        for client in clients:
            client.begin()
        yield load
        load.results = [client.end() for client in clients]
    print(load)


def serves(group: Group) -> None:
    """Assert that every worker serves."""
    load = Load()
    options = ["--concurrency", "4", "--requests", str(_PROBE_REQUESTS), "--warm-up", "0"]
    with load_clients(CLIENTS, group.socket, group.protocol, options, slots=WORKERS) as clients:
        for client in clients:
            client.begin()
        load.results = [client.result() for client in clients]
    load.assert_untouched()
