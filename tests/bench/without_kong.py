"""Plugin servers beside each other, driven by two load clients, without Kong.

Every server runs all the time. The rounds visit one after the other and begin again, so that other work of the machine
hits all of them.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.measurement import CpuMeter, Measurement
from bench.plugin_servers import Server, running_server
from bench.sink import running_sink
from load.clients import load_clients

STOCK = "stock, gevent"
SUBJECTS: Mapping[str, tuple[str, int]] = {
    STOCK: ("msgpack", 1),
    "ours, MessagePack, 1 worker": ("msgpack", 1),
    "ours, MessagePack, 2 workers": ("msgpack", 2),
    "ours, ProtoBuf, 1 worker": ("protobuf", 1),
    "ours, ProtoBuf, 2 workers": ("protobuf", 2),
}
"""Name to protocol and workers."""

_CLIENTS = 2
_CONCURRENCY = 16


def measure(rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, list[Measurement]]:
    """Measure every subject, round by round.

    Args:
        rounds: how many.
        seconds: of load on each subject in each round.
        say: called with lines about the progress.
    """
    found: dict[str, list[Measurement]] = {name: [] for name in SUBJECTS}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        endpoint = stack.enter_context(running_sink())
        servers = [
            stack.enter_context(running_server(name, folder / str(number), *how))
            for number, (name, how) in enumerate(SUBJECTS.items())
        ]
        for number in range(rounds):
            for server in servers:
                say(f"round {number + 1} of {rounds}: {server.name}")
                found[server.name].append(_one_round(server, seconds, endpoint))
    return found


def _one_round(server: Server, seconds: float, endpoint: str) -> Measurement:
    options = ["--concurrency", str(_CONCURRENCY), "--seconds", str(seconds), "--endpoint", endpoint]
    with load_clients(_CLIENTS, server.socket, server.protocol, options, slots=server.workers) as clients:
        processes = CpuMeter(server.pids(sidecar=False))
        sidecar = CpuMeter(server.pids(sidecar=True))
        for client in clients:
            client.begin()
        results = [client.result() for client in clients]
    requests = sum(result["requests"] for result in results)
    return Measurement(
        requests_per_second=sum(result["requests_per_second"] for result in results),
        p50_ms=max(result["event_ms"]["p50"] for result in results),
        p99_ms=max(result["event_ms"]["p99"] for result in results),
        server_us=processes.microseconds(requests),
        sidecar_us=sidecar.microseconds(requests),
        failed=requests - sum(result["traced"] for result in results),
    )
