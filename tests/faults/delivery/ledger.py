"""Every span of every run that arrived, how often, and whether it equals the issued span."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from faults.delivery.issue import SPANS_A_REQUEST, Run

# Every span is looked at whole, until they are so many that the receiver would hold the sidecar back; then a part.
_CHECKED_WHOLE = 50_000
_CHECKED_THEN = 16
_MAX_FAULTS = 20  # kept for the message; one is enough to fail


class Ledger:
    """The book of a receiver. Thread-safe.

    Args:
        runs: the runs with expected spans; any other span is a fault.
    """

    def __init__(self, *runs: Run) -> None:
        self._runs = {run.name: run for run in runs}
        self._times = {run.name: bytearray() for run in runs}
        self._refused: dict[int, set[int]] = {run.name: set() for run in runs}
        self._lock = threading.Lock()
        self.faults: list[str] = []
        self.fault_count = 0
        self.arrived = 0
        self.repeated = 0
        self.shortest_ns = 1 << 63  # of all spans

    def take(self, spans: Iterable[Span]) -> None:
        """Write down spans that were taken over."""
        with self._lock:
            for span in spans:
                self.shortest_ns = min(self.shortest_ns, span.end_time_unix_nano - span.start_time_unix_nano)
                run = self._run(span)
                if run is None:
                    self._fault(f"span {span.span_id.hex()} of trace {span.trace_id.hex()} was never issued")
                    continue
                self._count(run, span)
                if self.arrived < _CHECKED_WHOLE or self.arrived % _CHECKED_THEN == 0:
                    fault = run.fault(span)
                    if fault:
                        self._fault(fault)

    def refuse(self, spans: Iterable[Span]) -> None:
        """Write down spans that the receiver said it would not take."""
        with self._lock:
            for span in spans:
                run = self._run(span)
                place = run.place(span) if run else None
                if run and place is not None:
                    self._refused[run.name].add(place)

    def delivered(self, run: Run) -> set[int]:
        """Return the places (twice the request's number, one more for its CLIENT span) that have arrived."""
        with self._lock:
            return {place for place, times in enumerate(self._times[run.name]) if times}

    def refused(self, run: Run) -> set[int]:
        """Return the places that were answered with a rejection."""
        with self._lock:
            return set(self._refused[run.name])

    def has(self, run: Run, number: int) -> bool:
        """Tell whether all spans of a request have arrived."""
        first = number * SPANS_A_REQUEST
        with self._lock:
            spans = self._times[run.name][first : first + SPANS_A_REQUEST]
        return len(spans) == SPANS_A_REQUEST and all(spans)

    def latest(self, run: Run) -> int:
        """Return the number of the latest request of which anything has arrived; -1 if nothing has."""
        with self._lock:
            return (len(self._times[run.name]) + 1) // SPANS_A_REQUEST - 1

    def distinct(self) -> int:
        """Return how many different spans have arrived."""
        with self._lock:
            return self.arrived - self.repeated

    def missing(self, run: Run, numbers: Sequence[int]) -> list[int]:
        """Return the places of these requests that have not arrived."""
        delivered = self.delivered(run)
        places = (number * SPANS_A_REQUEST + one for number in numbers for one in range(SPANS_A_REQUEST))
        return [place for place in places if place not in delivered]

    def _run(self, span: Span) -> Run | None:
        for run in self._runs.values():
            if run.place(span) is not None:
                return run
        return None

    def _count(self, run: Run, span: Span) -> None:
        place = run.place(span)
        assert place is not None
        times = self._times[run.name]
        if place >= len(times):
            times.extend(bytes(place + 1 - len(times)))
        self.arrived += 1
        self.repeated += bool(times[place])
        times[place] = min(255, times[place] + 1)

    def _fault(self, text: str) -> None:
        self.fault_count += 1
        if len(self.faults) < _MAX_FAULTS:
            self.faults.append(text)
