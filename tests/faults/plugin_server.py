"""The plugin server under test, and its processes; the test plays the Kong that starts it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from e2e.client import fetch
from e2e.ports import HOST, accepts, free_port
from e2e.processes import alive, descendants
from e2e.waiting import wait_for
from otlp_tracing.paths import command_line

WORKERS = 2
_UP_SECONDS = 60.0  # four Python processes, beside those that make room for them
_END_SECONDS = 40.0  # a group that makes room may take twelve, a stop eight; the rest is the machine's
_LOG_LINES = 80


class Group:
    """`otlp-tracing serve` at a prefix, started as Kong starts it. Use it with `with`.

    Args:
        prefix: an empty folder.
        protocol: msgpack or protobuf.
        plugins: folder of the plugin file; ours unless given.
    """

    def __init__(self, prefix: Path, protocol: str, plugins: Path | None = None) -> None:
        self.prefix = prefix
        self.protocol = protocol
        self.socket = prefix / "otlp-tracing.socket"
        self._http_port = free_port()
        self.command = command_line(
            "serve",
            *("--kong-prefix", str(prefix), "--workers", str(WORKERS)),
            *("--http", f"{HOST}:{self._http_port}"),
            *(("--plugins", str(plugins)) if plugins else ()),
        )
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, wrapper: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start it, again or for the first time; returns at once.

        Args:
            wrapper: command that starts it instead of this process, given the command line as one argument.
        """
        with self._log_file.open("ab") as log:
            process = subprocess.Popen(
                [*wrapper, shlex.join(self.command)] if wrapper else self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a stopped process must not make the kernel hang up on ours
                env={name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTLP_"))},
            )
        self._started.append(process)
        return process

    def wait_until_whole(self) -> dict[str, list[int]]:
        """Wait until there is exactly one group, and it serves; return its processes by role."""
        wait_for(self._is_whole, _UP_SECONDS, f"one group at {self.prefix}; its log ends with\n{self.tail()}")
        return self.processes()

    def wait_until_gone(self) -> None:
        """Wait until no process is left."""
        wait_for(lambda: not self.processes(), _END_SECONDS, "the group ends")

    def processes(self) -> dict[str, list[int]]:
        """Return the pids at this prefix, by role; an old group's too."""
        self._reap()
        return group_at(self.prefix)

    def tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-_LOG_LINES:])

    def __enter__(self) -> Group:
        self.start()
        self.wait_until_whole()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind:
            print(self.tail())
        self.close()

    def close(self) -> None:
        """End whatever is left."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            for process in self._started:
                process.wait(_END_SECONDS)
        for pids in self.processes().values():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _is_whole(self) -> bool:
        processes = self.processes()
        if {role: len(pids) for role, pids in processes.items()} != {"serve": 1, "worker": WORKERS, "sidecar": 1}:
            return False
        if not all(map(_loops, processes["worker"])) or not accepts(str(self.socket)):
            return False
        with contextlib.suppress(OSError, IndexError):
            return fetch(f"http://{HOST}:{self._http_port}", "/readyz").status == 200
        return False

    def _reap(self) -> None:
        for process in self._started:
            process.poll()

    @property
    def _log_file(self) -> Path:
        return self.prefix.with_name(self.prefix.name + ".log")


def _loops(pid: int) -> bool:
    """Tell whether a worker has come to its loop: it has an epoll then."""
    with contextlib.suppress(OSError):
        return any(
            os.readlink(f"/proc/{pid}/fd/{number}") == "anon_inode:[eventpoll]"
            for number in os.listdir(f"/proc/{pid}/fd")
        )
    return False


def group_at(prefix: Path) -> dict[str, list[int]]:
    """Return the pids of every plugin server process at a prefix, by role, with any parent."""
    found: dict[str, list[int]] = defaultdict(list)
    for process in descendants(0):
        if process.role and any(str(prefix) in argument for argument in process.command) and alive(process.pid):
            found[process.role].append(process.pid)
    return dict(found)
