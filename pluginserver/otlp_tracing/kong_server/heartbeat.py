"""Heartbeats of the worker processes, in shared memory, one slot a worker.

Every worker writes the time into its own slot, at rest and under load. A peer or the supervisor that finds a
stale slot kills that worker: its connections close, Kong repeats the events elsewhere, and the supervisor starts
another. Otherwise a worker that is stopped or blocked would delay requests. A worker that waits for a core is not
stuck: on a machine without CPU time its successor would wait as well, and its requests would fail.

Linux only: memfd; CLOCK_MONOTONIC, which all processes share; pidfd, because a pid can be used again; /proc.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

MAX_SLOTS = 64  # workers of one server; six bits of an instance's number
_SLOT = struct.Struct("=qd")  # pid, seconds of CLOCK_MONOTONIC

# The bound of a request's wait for a stuck worker; Kong's own is a minute. A healthy worker writes four times in it at
# rest, and nine times under load.
STALE_SECONDS = 0.45
LOOK_SECONDS = 0.1
_ENOUGH_CPU_SECONDS = 0.05  # for a heartbeat: a turn of the loop takes about a millisecond
_CPU_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_PAUSE_SECONDS = 1.0  # no loop of this package takes as long between two checks, unless the machine was paused


class HeartbeatTable:
    """The table.

    Args:
        descriptor: of the shared memory; inherited by every process of the group.
        slots: how many workers there are.
    """

    def __init__(self, descriptor: int, slots: int) -> None:
        self.descriptor = descriptor
        self.slots = slots
        self._memory = mmap.mmap(descriptor, slots * _SLOT.size)

    @classmethod
    def create(cls, slots: int) -> HeartbeatTable:
        """Make an empty table."""
        descriptor = os.memfd_create("otlp-tracing slots", 0)
        os.ftruncate(descriptor, slots * _SLOT.size)
        return cls(descriptor, slots)

    def write(self, slot: int, pid: int, now: float) -> None:
        """Write a heartbeat; pid 0 empties the slot, and `now` is then the time of the last heartbeat."""
        _SLOT.pack_into(self._memory, slot * _SLOT.size, pid, now)

    def read(self, slot: int) -> tuple[int, float]:
        """Return a slot's pid, 0 if no worker serves, and the time of the last heartbeat."""
        pid, seconds = _SLOT.unpack_from(self._memory, slot * _SLOT.size)
        return int(pid), float(seconds)

    def is_full(self) -> bool:
        """Tell whether a worker serves every slot."""
        return all(self.read(slot)[0] for slot in range(self.slots))

    def last_heartbeat(self) -> float:
        """Return the time of the last heartbeat of any worker, also of one that has ended; 0 before the first."""
        return max(self.read(slot)[1] for slot in range(self.slots))

    def is_alive(self, slot: int, now: float) -> bool:
        """Tell whether a worker serves this slot, by a fresh heartbeat."""
        pid, seconds = self.read(slot)
        return pid != 0 and now - seconds < STALE_SECONDS / 2


def state_and_cpu_seconds(pid: int) -> tuple[str, float]:
    """Return a process's state, such as R for one that runs or waits for a core, and its CPU time.

    Without an answer, the state is empty. Source: proc(5), /proc/pid/stat, fields 3, 14 and 15.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return fields[0], (int(fields[11]) + int(fields[12])) * _CPU_TICK_SECONDS
    except (OSError, IndexError, ValueError):
        return "", 0.0


def waits_for_core(state: str, cpu_seconds: float, enough: float) -> bool:
    """Tell whether a process is ready to run and had less CPU time than it needs: it is not stuck, and is spared."""
    return state == "R" and cpu_seconds < enough


class Watchdog:
    """Kills workers with a stale heartbeat.

    Args:
        table: to watch.
        own_slot: never killed; None for the supervisor.
        clock: monotonic seconds, the same for all processes.
        look: returns the state of a process and its seconds of CPU time, by its pid.
    """

    def __init__(
        self,
        table: HeartbeatTable,
        own_slot: int | None,
        clock: Callable[[], float] = time.monotonic,
        look: Callable[[int], tuple[str, float]] = state_and_cpu_seconds,
    ) -> None:
        self._table = table
        self._own_slot = own_slot
        self._clock = clock
        self._looked_at = float("-inf")
        self._processes: dict[int, tuple[int, int]] = {}  # slot: pid and pidfd
        self._look = look
        self._stale: dict[int, float] = {}  # slot: CPU seconds of its worker when it was found

    def check(self) -> list[int]:
        """Check every slot, at most ten times a second; return the pids that were killed.

        A slot must be stale in two checks in a row: after a pause of the whole machine all slots are stale, and the
        workers write their heartbeats before the second check.
        """
        now = self._clock()
        if now < self._looked_at + LOOK_SECONDS:
            return []
        paused = now > self._looked_at + _PAUSE_SECONDS
        self._looked_at = now
        found, self._stale = self._stale, {}
        condemned = []
        for slot in range(self._table.slots):
            if slot == self._own_slot or not self._is_stale(slot, now):
                continue
            state, cpu_seconds = self._look(self._table.read(slot)[0])
            if slot not in found or paused:
                self._stale[slot] = cpu_seconds
            elif waits_for_core(state, cpu_seconds, found[slot] + _ENOUGH_CPU_SECONDS):
                self._stale[slot] = found[slot]
            else:
                condemned.append(slot)
        return [self._kill_worker(slot) for slot in condemned]

    def _is_stale(self, slot: int, now: float) -> bool:
        pid, seconds = self._table.read(slot)
        if pid == 0 or not self._know(slot, pid):
            return False
        return now - seconds > STALE_SECONDS

    def _know(self, slot: int, pid: int) -> bool:
        known = self._processes.get(slot)
        if known is not None and known[0] == pid:
            return True
        if known is not None:
            os.close(known[1])
            del self._processes[slot]
        try:
            self._processes[slot] = (pid, os.pidfd_open(pid))
        except OSError:
            return False
        return True

    def _kill_worker(self, slot: int) -> int:
        pid, descriptor = self._processes.pop(slot)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it is gone already
        finally:
            os.close(descriptor)
        self._table.write(slot, 0, 0.0)
        return pid
