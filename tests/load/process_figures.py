"""Figures of a process from /proc: its CPU time, memory, threads and descriptors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Figures:
    """The resources of a process."""

    resident_bytes: int
    threads: int
    descriptors: int


def cpu_seconds(pid: int) -> float:
    """Return user and system time together; good to a hundredth of a second."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def system_seconds(pid: int) -> float:
    """Return the part of it that the kernel used on its behalf."""
    return int(_stat(pid)[12]) * _TICK_SECONDS


def waited_seconds(pid: int) -> float:
    """Return for how long the main thread could have run and had no core (proc(5), schedstat); 0 if not counted."""
    path = Path(f"/proc/{pid}/schedstat")
    return int(path.read_text().split()[1]) / 1e9 if path.exists() else 0.0


def figures(pid: int) -> Figures:
    """Return the resources that a process has now."""
    fields = _stat(pid)
    return Figures(int(fields[21]) * _PAGE_BYTES, int(fields[17]), len(os.listdir(f"/proc/{pid}/fd")))


def _stat(pid: int) -> list[str]:
    # proc(5): the third field on, after the name in brackets, which may hold anything.
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
