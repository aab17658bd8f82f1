"""The cost of a killed worker for a real Kong's clients: SIGKILL, over and over, at half and at full load.

Two workers serve, and the busy one is killed. Over MessagePack no request fails. Over ProtoBuf a request fails if the
worker had not read its bytes yet: Kong 3.9 answers it with 500 (docs/decisions/0010-two-protocols.md).
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.kong import Kong
from bench.sink import running_sink
from bench.with_kong import MSGPACK, PROTOBUF, running_subject, running_upstream
from bench.wrk import CONNECTIONS, run_wrk, start_wrk
from load.process_figures import cpu_seconds

_BETWEEN_SECONDS = 2.0  # a worker is started again within one, and serves a moment later
_LOOK_SECONDS = 0.3
_WARM_UP_SECONDS = 3.0
_FULL_SECONDS = 4.0


@dataclass(frozen=True)
class Kills:
    """The result of some kills.

    Args:
        subject: protocol and load.
        kills: how many.
        requests: that were sent meanwhile.
        requests_per_second: likewise.
        failed: requests that did not get the upstream's answer.
    """

    subject: str
    kills: int
    requests: int
    requests_per_second: float
    failed: int

    @property
    def per_kill(self) -> float:
        """Failed requests a kill."""
        return self.failed / self.kills


def measure(command: Path, kills: int, say: Callable[[str], None]) -> list[Kills]:
    """Kill workers of both protocols at both loads.

    Args:
        command: the `kong` command.
        kills: how many of each kind.
        say: called with lines about the progress.

    Raises:
        WrkMissingError: there is no wrk.
    """
    found: list[Kills] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        collector = stack.enter_context(running_sink())
        upstream = stack.enter_context(running_upstream(command, folder / "upstream"))
        for name in (MSGPACK, PROTOBUF):
            with running_subject(command, name, folder, upstream, collector, workers=2) as kong:
                run_wrk(kong.port, _WARM_UP_SECONDS)
                full = run_wrk(kong.port, _FULL_SECONDS)
                # A connection sends one request in the time it rests and waits.
                rest_ms = round(2e3 * CONNECTIONS / full.requests_per_second - full.p50_ms / 2)
                for load, delay_ms in (("half load", max(1, rest_ms)), ("full load", 0)):
                    say(f"{kills} kills: {name}, {load}")
                    found.append(_kill(kong, f"{name}, {load}", kills, delay_ms))
    return found


def _kill(kong: Kong, subject: str, kills: int, delay_ms: int) -> Kills:
    wrk = start_wrk(kong.port, (kills + 1) * _BETWEEN_SECONDS, delay_ms=delay_ms)
    for _ in range(kills):
        time.sleep(_BETWEEN_SECONDS - _LOOK_SECONDS)
        os.kill(_busiest(kong.pids("worker")), signal.SIGKILL)
    said = wrk.said()
    return Kills(subject, kills, said.requests, said.requests_per_second, said.failed)


def _busiest(pids: list[int]) -> int:
    before = {pid: cpu_seconds(pid) for pid in pids}
    time.sleep(_LOOK_SECONDS)
    return max(pids, key=lambda pid: cpu_seconds(pid) - before[pid])
