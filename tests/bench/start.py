"""Time from the start of a plugin server to its first answered request, imports, and the size of the image."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.plugin_servers import SOCKET_NAME, started_server
from e2e.kong_process import NAME
from e2e.waiting import wait_for
from load.heartbeat import Heartbeat
from load.kong_worker import KongWorker
from load.loop import Loop, Pool
from load.msgpack_rpc import MsgPackRpc
from load.outcome import Tally
from load.protobuf_rpc import ProtoBufRpc
from load.traffic import config

Starts = Mapping[str, float]
"""A figure's name, with its unit, to the median."""

_SERVERS: Mapping[str, type[MsgPackRpc | ProtoBufRpc]] = {
    "stock, gevent": MsgPackRpc,
    "ours, MessagePack": MsgPackRpc,
    "ours, ProtoBuf": ProtoBufRpc,
}
_MODULES = {"worker": "otlp_tracing.commands.worker", "sidecar": "otlp_tracing.sidecar.service"}
_IMAGE = "kong-otlp-tracing"  # as docs/install.md builds it
_ROUNDS = 3
_START_SECONDS = 30.0


def measure(say: Callable[[str], None]) -> dict[str, float]:
    """Start each server, and import each module, some times.

    Args:
        say: called with lines about the progress.
    """
    say("starts and imports")
    heartbeat, found = Heartbeat(), dict[str, list[float]]()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number in range(_ROUNDS):
            for place, name in enumerate(_SERVERS):
                milliseconds = _first_answer(name, Path(folder, f"{number}-{place}"), heartbeat)
                found.setdefault(f"start to first answer, {name}, ms", []).append(milliseconds)
            for name, module in _MODULES.items():
                found.setdefault(f"imports of the {name}, ms", []).append(_import(module))
    return {name: statistics.median(values) for name, values in found.items()} | dict(_image())


def _first_answer(name: str, folder: Path, heartbeat: Heartbeat) -> float:
    started = time.monotonic()
    with started_server(name, folder, workers=1):

        def answers() -> int:
            loop, tally = Loop(_START_SECONDS), Tally()
            pool = Pool(loop, str(folder / SOCKET_NAME), 1)
            rpc = _SERVERS[name](pool, NAME, config("http://127.0.0.1:9"), tally)
            loop.start(KongWorker(rpc, tally, heartbeat).lane(iter([0]), lambda _: 0.0))
            loop.run()
            return tally.traced

        wait_for(answers, _START_SECONDS, f"{name} answers")
        return (time.monotonic() - started) * 1e3


def _import(module: str) -> float:
    code = f"import time; started = time.perf_counter(); import {module}; print(time.perf_counter() - started)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout) * 1e3


def _image() -> Iterator[tuple[str, float]]:
    """Give the size of the image, if Docker has built it here."""
    docker = shutil.which("docker")
    if docker:
        command = [docker, "image", "inspect", "--format", "{{.Size}}", _IMAGE]
        asked = subprocess.run(command, check=False, capture_output=True, text=True)
        if asked.returncode == 0:
            yield f"image {_IMAGE}, MB", int(asked.stdout) / 1e6
