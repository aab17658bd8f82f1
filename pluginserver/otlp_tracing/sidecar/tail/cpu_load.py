"""How busy the processors are that this process may use, 0 to 1.

The larger of two shares: how busy the processors of its cpuset are with any process, and how much of its
control group's quota is used up, where there is one. In a container beside Kong's the quota is the sidecar's
own; embedded in Kong's container it is Kong's and everything else's there.

Linux only. Source: proc_stat(5); the kernel's cgroup-v2 (cpu.max, cpu.stat) and sched-bwc documents.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# user nice system idle iowait irq softirq steal guest guest_nice: guests' time is part of user's and nice's.
_IDLE, _IOWAIT, _COUNTED = 3, 4, 8


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    busy: int
    all: int
    group_seconds: float | None


class CpuLoad:
    """Measures from one call to the next.

    Args:
        root: of the file system; tests have one of their own.
        clock: monotonic seconds.
        processors: numbers of those that may be used.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
        processors: Callable[[], set[int]] = lambda: os.sched_getaffinity(0),
    ) -> None:
        self._root = root
        self._clock = clock
        self._processors = processors
        self._group = _control_group(root)
        self._last = self._sample()

    def __call__(self) -> float | None:
        """Return the load since the call before; None where it cannot be known, as outside of Linux."""
        last, self._last = self._last, self._sample()
        if last is None or self._last is None:
            return None
        shares = [(self._last.busy - last.busy) / max(self._last.all - last.all, 1)]
        quota = self._group.processors() if self._group else None
        if quota and self._last.group_seconds is not None and last.group_seconds is not None:
            seconds = max(self._last.at - last.at, 1e-3)
            shares.append((self._last.group_seconds - last.group_seconds) / (quota * seconds))
        return min(max(*shares, 0.0), 1.0)

    def _sample(self) -> _Sample | None:
        try:
            lines = (self._root / "proc/stat").read_text().splitlines()
            wanted = {f"cpu{number}" for number in self._processors()}
            busy = total = 0
            for line in lines:
                name, *fields = line.split()
                if name in wanted:
                    ticks = [int(text) for text in fields[:_COUNTED]]
                    total += sum(ticks)
                    busy += sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT]
            return _Sample(self._clock(), busy, total, self._group.used_seconds() if self._group else None)
        except (OSError, ValueError, IndexError):
            return None


@dataclass(frozen=True, slots=True)
class _Group:
    """A control group with a quota; version 2 has its files in one folder, version 1 in two."""

    limit: Path
    usage: Path
    unified: bool

    def processors(self) -> float | None:
        """Return how many processors' time may be used; None without a quota."""
        try:
            if self.unified:
                quota, period = (self.limit / "cpu.max").read_text().split()
            else:
                quota, period = (
                    (self.limit / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")
                )
            return int(quota) / int(period) if quota not in {"max", "-1"} else None
        except (OSError, ValueError, ZeroDivisionError):
            return None

    def used_seconds(self) -> float | None:
        """Return the processors' time used so far."""
        try:
            if not self.unified:
                return int((self.usage / "cpuacct.usage").read_text()) / 1e9
            fields = dict(line.split() for line in (self.usage / "cpu.stat").read_text().splitlines())
            return int(fields["usage_usec"]) / 1e6
        except (OSError, ValueError, KeyError):
            return None


def _control_group(root: Path) -> _Group | None:
    """Find the innermost group of this process that has a quota."""
    try:
        lines = [line.split(":", 2) for line in (root / "proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return None
    folder = root / "sys/fs/cgroup"
    for number, controllers, path in (line for line in lines if len(line) == 3):
        unified = number == "0" and not controllers
        if not unified and "cpu" not in controllers.split(","):
            continue
        # In a container the path is often the host's, of which only the mount's root is seen.
        for inner in (Path(path), *Path(path).parents):
            below = str(inner).lstrip("/")
            group = (
                _Group(folder / below, folder / below, unified=True)
                if unified
                else _Group(folder / "cpu" / below, folder / "cpuacct" / below, unified=False)
            )
            if group.processors():
                return group
    return None
