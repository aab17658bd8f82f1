"""The plugin servers that are compared, each with a sidecar, all of them running at once.

Ours is `otlp-tracing serve`, over both protocols; the stock one is kong-python-pluginserver in gevent
mode, with the same plugin file.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from e2e.ports import HOST, accepts, free_port
from e2e.processes import descendants
from e2e.waiting import wait_for
from otlp_tracing.paths import command_line, plugin_folder

SOCKET_NAME = "otlp-tracing.socket"
TRIVIAL_PLUGIN = Path(__file__).with_name("trivial")
_START_SECONDS = 30.0
_SETTLE_SECONDS = 20.0


class Server:
    """A running plugin server.

    Args:
        name: for the table.
        prefix: where its socket is.
        protocol: msgpack or protobuf.
        workers: how many processes serve.
        roots: the processes that were started.
    """

    def __init__(self, name: str, prefix: Path, protocol: str, workers: int, roots: Sequence[int]) -> None:
        self.name = name
        self.socket = prefix / SOCKET_NAME
        self.protocol = protocol
        self.workers = workers
        self._roots = roots

    def pids(self, *, sidecar: bool) -> list[int]:
        """Return its processes: the sidecar's, or all others."""
        return [
            process.pid
            for process in descendants(0)
            if (process.role == "sidecar") == sidecar and _descends(process.pid, self._roots)
        ]


def _descends(pid: int, roots: Sequence[int]) -> bool:
    return pid in roots or any(process.pid == pid for root in roots for process in descendants(root))


@contextlib.contextmanager
def running_server(name: str, folder: Path, protocol: str, workers: int) -> Iterator[Server]:
    """Run one; it accepts connections, and its sidecar runs."""
    with started_server(name, folder, workers) as roots:
        server = Server(name, folder, protocol, workers, roots)
        wait_for(lambda: accepts(str(server.socket)), _START_SECONDS, f"{name} accepts")
        wait_for(lambda: server.pids(sidecar=True), _SETTLE_SECONDS, f"{name} has a sidecar")
        yield server


@contextlib.contextmanager
def started_server(name: str, folder: Path, workers: int) -> Iterator[list[int]]:
    """Start ours, or the stock one where the name says so, with our plugin; give the pids that were started."""
    folder.mkdir()
    if name.startswith("stock"):
        commands = [_sidecar_command(folder / "sidecar.sock"), stock_command(folder, plugin_folder())]
    else:
        options = ("--workers", str(workers), "--http", f"{HOST}:{free_port()}")
        commands = [command_line("serve", "--kong-prefix", str(folder), *options, "--log-level", "error")]
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_process(command, folder)).pid for command in commands]


def _sidecar_command(listen: Path) -> list[str]:
    """Return the command line of a sidecar on its own."""
    options = ("--listen", str(listen), "--http", f"{HOST}:{free_port()}", "--log-level", "error")
    return command_line("sidecar", *options)


def stock_command(folder: Path, plugins: Path) -> list[str]:
    """Return the command line of the stock server, which finds its sidecar through its environment."""
    script = Path(sys.executable).with_name("kong-python-pluginserver")
    environment = ["/usr/bin/env", f"OTLP_TRACING_SIDECAR={folder / 'sidecar.sock'}"]
    options = ["-p", str(folder), "--socket-name", SOCKET_NAME, "-d", str(plugins)]
    return [*environment, str(script), "-g", *options]


@contextlib.contextmanager
def _process(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    foreign = ("KONG_", "OTEL_", "OTLP_TRACING_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
