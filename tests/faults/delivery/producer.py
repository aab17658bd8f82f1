"""A process of the gateway, as far as the sidecar sees it: hands requests over through the real emitter."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from e2e.waiting import wait_for
from faults.delivery.issue import Run
from faults.delivery.stalls import heartbeat
from otlp_tracing.metrics import REQUESTS_UNTRACED
from otlp_tracing.plugin.emitter import MAX_RING_BYTES, Emitter, Origin

_STEP_SECONDS = 0.005
_LONG_SECONDS = 0.05  # calls that took less cannot be noticed


class Producer:
    """Issues a run's requests, and knows which of them the sidecar has acknowledged.

    Args:
        socket: the sidecar's.
        run: the run of the requests; no other producer issues requests of it.
        config: the plugin entry's configuration; `origin` is made of it, and may be replaced.
        max_ring_bytes: the emitter's.
    """

    def __init__(self, socket: Path, run: Run, config: Mapping[str, Any], max_ring_bytes: int = MAX_RING_BYTES) -> None:
        self.run = run
        self.emitter = Emitter(socket, max_ring_bytes=max_ring_bytes)
        self._handing_over = threading.Lock()
        self._heartbeat = heartbeat()
        self._long_calls: list[tuple[float, float, float]] = []  # begun, ended, CPU time
        self.origin = Origin.of(config)

    def send(self, requests: int = 1) -> None:
        """Hand so many over, and pump once."""
        for _ in range(requests):
            with self._handing_over:
                log = self.run.log(self.run.issued)
                self.run.issued += 1
                with self._timed():
                    self.emitter.submit(self.origin, log)
        self.pump()

    def pump(self) -> None:
        """Pump once."""
        with self._timed():
            self.emitter.pump()

    @contextlib.contextmanager
    def sending(self, rate: float) -> Iterator[None]:
        """Issue so many requests a second for as long as the block runs."""
        stop = threading.Event()
        failures: list[BaseException] = []

        def work() -> None:
            try:
                begun, first = time.monotonic(), self.run.issued
                while not stop.is_set():
                    due = int((time.monotonic() - begun) * rate) - (self.run.issued - first)
                    self.send(max(0, due))
                    stop.wait(_STEP_SECONDS)
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=work, name=f"producer of run {self.run.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not failures, failures

    @property
    def slowest_call_s(self) -> float:
        """Seconds that the slowest call of the emitter took, without the time in which no process ran here."""
        return max(
            (max(cpu, ended - begun - self._heartbeat.missed(begun, ended)) for begun, ended, cpu in self._long_calls),
            default=0.0,
        )

    @property
    def kept(self) -> int:
        """Requests that the sidecar has not acknowledged and that were not given up."""
        with self.emitter._lock:  # the emitter shows it in its repr only
            return len(self.emitter._waiting) + len(self.emitter._unacknowledged)

    @property
    def ring_bytes(self) -> int:
        """The memory of the kept records, as they are stored, and not as the emitter estimates it."""
        with self.emitter._lock:
            return sum(len(one.frame) for kept in (self.emitter._waiting, self.emitter._unacknowledged) for one in kept)

    @property
    def given_up(self) -> int:
        """Requests that the emitter counts as untraced."""
        return sum(value for name, _, value in self.emitter.counters.totals() if name == REQUESTS_UNTRACED.name)

    @property
    def acknowledged(self) -> range:
        """Numbers of the requests that the sidecar has acknowledged; only if none was given up."""
        assert not self.given_up, f"{self.given_up} were given up; it cannot be told which were acknowledged"
        with self._handing_over:
            return range(self.run.issued - self.kept)

    def wait_until_acknowledged(self, seconds: float = 60.0) -> None:
        """Pump until the sidecar has acknowledged everything."""

        def done() -> bool:
            self.pump()
            return not self.kept

        wait_for(done, seconds, f"{self.emitter} has everything acknowledged")

    def close(self) -> None:
        """Close the connection."""
        self.emitter.close()

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        begun, used = time.monotonic(), time.thread_time()
        yield
        ended = time.monotonic()
        if ended - begun > _LONG_SECONDS:
            self._long_calls.append((begun, ended, time.thread_time() - used))
