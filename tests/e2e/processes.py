"""Look at processes through /proc. A defunct one counts as ended: a container may have no init that buries it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process that was seen alive."""

    pid: int
    parent: int
    command: tuple[str, ...]

    @property
    def role(self) -> str | None:
        """Return `serve`, `worker` or `sidecar`, None for another program."""
        for program, role in zip(self.command, self.command[1:], strict=False):
            if Path(program).name in {"otlp-tracing", "otlp_tracing"} and role in {"serve", "worker", "sidecar"}:
                return role
        return None


def alive(pid: int) -> bool:
    """Tell whether a process runs."""
    return _read(pid) is not None


def end(child: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask a child to end, kill it if it has not within `seconds`, and wait until it is gone."""
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def descendants(pid: int) -> list[Process]:
    """Return a process's children, their children, and so on."""
    everyone = list(_all())
    found, parents = [], {pid}
    while parents:
        generation = [process for process in everyone if process.parent in parents]
        found += generation
        parents = {process.pid for process in generation}
    return found


def plugin_server_processes(prefix: Path) -> dict[str, list[int]]:
    """Return the pids of the plugin server of one gateway, by role."""
    everyone = list(_all())
    servers = {process.pid for process in everyone if process.role == "serve" and str(prefix) in process.command}
    found: dict[str, list[int]] = {}
    for process in everyone:
        if process.role and servers & {process.pid, process.parent}:
            found.setdefault(process.role, []).append(process.pid)
    return found


def _all() -> Iterator[Process]:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            process = _read(int(name))
            if process is not None:
                yield process


def _read(pid: int) -> Process | None:
    folder = Path("/proc", str(pid))
    try:
        state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
        command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    return None if state in "ZX" else Process(pid, int(parent), tuple(command))
