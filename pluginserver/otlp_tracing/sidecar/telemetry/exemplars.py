"""Exemplars: single values of a histogram, each with the trace that it was measured in.

Only a kept trace becomes an exemplar, so that its id leads to a trace that exists. A histogram remembers the last one
of each bucket; OTLP metrics send it once.

Source: OpenTelemetry specification, metrics/sdk.md, "Exemplar"; OpenMetrics 1.0, "Exemplars".
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from otlp_tracing.sidecar.outcome import RequestOutcome


class Exemplar:
    """A value of a kept trace.

    Args:
        value: in the unit of the values that were counted.
        unix_ns: when it was, in nanoseconds since 1970.
        trace_id: 16 bytes.
        span_id: 8 bytes.
    """

    __slots__ = ("span_id", "trace_id", "unix_ns", "value")

    def __init__(self, value: float, unix_ns: int, trace_id: bytes, span_id: bytes) -> None:
        self.value: Final = value
        self.unix_ns: Final = unix_ns
        self.trace_id: Final = trace_id
        self.span_id: Final = span_id


def exemplar_of(outcome: RequestOutcome, value: float) -> Exemplar | None:
    """Return a request's value as an exemplar of its SERVER span; None if the trace is not kept."""
    if not outcome.spans:
        return None
    return Exemplar(value, time.time_ns(), outcome.context.trace_id, outcome.context.span_id)


class SentExemplar(NamedTuple):
    """An exemplar that a collector has accepted.

    Args:
        metric: name of the metric.
        value: in the metric's unit.
        trace_id: 16 bytes.
    """

    metric: str
    value: float
    trace_id: bytes
