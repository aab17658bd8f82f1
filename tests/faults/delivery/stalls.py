"""Separates the product's time from the machine's: a test must not fail because the machine was busy.

A bound on the clock is a promise of the product for a machine on which it can run. On a shared machine this process or
the sidecar may wait for a core for seconds. That time is measured here, and subtracted from a test's measurement.

A machine can also be slow: then the bound on a start is a number of imports of the same libraries.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from functools import cache

from load.heartbeat import Heartbeat
from load.process_figures import waited_seconds

_LIBRARIES = "aiohttp.web, grpc.aio, opentelemetry.sdk.metrics, prometheus_client"
START_IMPORTS = 2.5
"""The most that a start of the sidecar may cost, in imports of its libraries; 1.9 is usual."""


def import_seconds() -> float:
    """Return the CPU time that a process takes now for the import of the sidecar's libraries."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", f"import {_LIBRARIES}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@cache
def heartbeat() -> Heartbeat:
    """Return that of this process."""
    return Heartbeat()


class Stopwatch:
    """Measures the seconds in which the product could run, from its creation on.

    Args:
        pid: the process; time in which its main thread, which has the loop, waits for a core is not counted either.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._heartbeat = heartbeat()
        self._waited = waited_seconds(pid)
        self._begun = time.monotonic()

    def read(self) -> float:
        """Return the seconds so far."""
        now = time.monotonic()
        waited = waited_seconds(self._pid) - self._waited
        return max(0.0, now - self._begun - self._heartbeat.missed(self._begun, now) - waited)
