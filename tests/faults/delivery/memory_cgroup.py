"""A bound on a process's memory: a cgroup of version 2 or 1, whichever has the memory here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.waiting import wait_for

_ROOT = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def bounded(max_bytes: int, root: Path = _ROOT) -> Iterator[Callable[[int], None]]:
    """Give a function that puts a process, by its id, into a cgroup with a memory limit. Without cgroups the test is
    skipped.

    Source: the kernel's admin-guide/cgroup-v2.rst ("Memory", "No Internal Process Constraint") and
    cgroup-v1/memory.rst.
    """
    try:
        group = _made(root, max_bytes)
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made here, of version 2 or 1: {error}")
    processes = group / "cgroup.procs"

    def join(pid: int) -> None:
        processes.write_text(str(pid))

    try:
        yield join
    finally:
        wait_for(lambda: not processes.read_text(), 60, "the group is empty")
        group.rmdir()


def _made(root: Path, max_bytes: int) -> Path:
    if (root / "cgroup.controllers").exists():
        # In a container the root may hold processes, and must then not hand the controller on: "busy".
        if "memory" not in (root / "cgroup.subtree_control").read_text().split():
            (root / "cgroup.subtree_control").write_text("+memory")
        parent, bounds = root, {"memory.max": max_bytes, "memory.swap.max": 0}
    else:
        parent, bounds = root / "memory", {"memory.limit_in_bytes": max_bytes}
    group = parent / f"otlp-tracing-{os.getpid()}"
    group.mkdir()
    try:
        for name, value in bounds.items():
            # A kernel that does not count swap has no bound for it.
            if name != "memory.swap.max" or (group / name).exists():
                (group / name).write_text(str(value))
    except OSError:
        group.rmdir()
        raise
    return group
