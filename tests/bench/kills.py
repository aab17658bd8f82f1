"""The cost of a killed worker for a real Kong's clients: SIGKILL, over and over, at half and at full load.

Two workers serve, and the busy one is killed. Over MessagePack no request fails. Over ProtoBuf a request fails if the
worker had not read its bytes yet: Kong 3.9 answers it with 500 (docs/decisions/0010-two-protocols.md).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.kong import Kong
from bench.subjects import MSGPACK, PROTOBUF, running_gateway, surroundings
from bench.wrk import FULL, Load, half_load, run_wrk, start_wrk
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
    with surroundings(command) as around:
        for name in (MSGPACK, PROTOBUF):
            with running_gateway(name, around, workers=2) as gateway:
                run_wrk(gateway.kong.port, _WARM_UP_SECONDS)
                full = run_wrk(gateway.kong.port, _FULL_SECONDS)
                half = half_load(full.requests_per_second, full.p50_ms)
                for load, kind in ((half, "half load"), (FULL, "full load")):
                    say(f"{kills} kills: {name}, {kind}")
                    found.append(_kill(gateway.kong, f"{name}, {kind}", kills, load))
    return found


def _kill(kong: Kong, subject: str, kills: int, load: Load) -> Kills:
    wrk = start_wrk(kong.port, (kills + 1) * _BETWEEN_SECONDS, load)
    for _ in range(kills):
        time.sleep(_BETWEEN_SECONDS - _LOOK_SECONDS)
        os.kill(_busiest(kong.pids("worker")), signal.SIGKILL)
    said = wrk.said()
    return Kills(subject, kills, said.requests, said.requests_per_second, said.failed)


def _busiest(pids: list[int]) -> int:
    before = {pid: cpu_seconds(pid) for pid in pids}
    time.sleep(_LOOK_SECONDS)
    return max(pids, key=lambda pid: cpu_seconds(pid) - before[pid])
