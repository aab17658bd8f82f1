"""One round's figures of one subject, and the median of several."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

from load.process_figures import cpu_seconds


@dataclass(frozen=True)
class Measurement:
    """One measurement; None where a subject has no such process.

    Args:
        requests_per_second: answered.
        p50_ms: of an event without Kong, of a request with it.
        p99_ms: likewise.
        server_us: CPU time of the plugin server's processes a request.
        sidecar_us: likewise, of its sidecar.
        nginx_us: likewise, of Kong's nginx worker.
        failed: requests without the plugin, and failed requests.
    """

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    server_us: float | None = None
    sidecar_us: float | None = None
    nginx_us: float | None = None
    failed: int = 0

    @property
    def requests_per_cpu_second(self) -> float | None:
        """The rate of the plugin server with one core of its own."""
        return 1e6 / self.server_us if self.server_us else None

    @property
    def cpu_us(self) -> float:
        """CPU time of all its processes a request."""
        return sum(part or 0.0 for part in (self.nginx_us, self.server_us, self.sidecar_us))


@dataclass(frozen=True)
class Loads:
    """One round of a gateway at three loads.

    Args:
        full: as many requests as 32 connections can send.
        half: half of that rate; without CPU times.
        alone: one connection, so that no request waits for another.
    """

    full: Measurement
    half: Measurement
    alone: Measurement

    @property
    def failed(self) -> int:
        """Failed requests at all loads."""
        return self.full.failed + self.half.failed + self.alone.failed


class CpuMeter:
    """CPU time that some processes use from its making on.

    Args:
        pids: of the processes.
        read: one's CPU seconds so far.
    """

    def __init__(self, pids: Sequence[int], read: Callable[[int], float] = cpu_seconds) -> None:
        self._pids = pids
        self._read = read
        self._before = self._total()

    def microseconds(self, requests: int) -> float | None:
        """Return the CPU time a request; None where there is no process."""
        return (self._total() - self._before) * 1e6 / max(1, requests) if self._pids else None

    def _total(self) -> float:
        return sum(map(self._read, self._pids))


def median(rounds: Sequence[Measurement]) -> Measurement:
    """Return the median of each figure; the failures are added up."""
    figures: dict[str, float | None] = {}
    for name in (field.name for field in fields(Measurement) if field.name != "failed"):
        values = [value for one in rounds if (value := asdict(one)[name]) is not None]
        figures[name] = statistics.median(values) if values else None
    return Measurement(**figures, failed=sum(one.failed for one in rounds))  # type: ignore[arg-type]  # by name


def median_loads(rounds: Sequence[Loads]) -> Loads:
    """Return the median of each figure at each load."""
    return Loads(*(median([getattr(one, field.name) for one in rounds]) for field in fields(Loads)))
