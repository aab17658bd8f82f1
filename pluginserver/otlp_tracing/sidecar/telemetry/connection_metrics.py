"""OTLP metrics of TCP, TLS and UDP connections, recorded at their end, before sampling.

The semantic conventions have no metric for the connections of a proxy, so the names are Kong's, with the conventions'
attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from otlp_tracing.sidecar.outcome import RequestOutcome
from otlp_tracing.sidecar.spans.connection import bytes_of, protocol_of, shared_attributes
from otlp_tracing.sidecar.spans.model import Attributes, present
from otlp_tracing.sidecar.telemetry.exemplars import exemplar_of
from otlp_tracing.sidecar.telemetry.histogram import Histogram
from otlp_tracing.sidecar.telemetry.series_table import Instrument, SeriesTable

_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800, 3600, 21600)  # to six hours: pools of database clients
_BYTES = tuple(float(256 << 2 * power) for power in range(13))  # 256 B to 4 GiB

DURATION = Instrument("kong.connection.duration", "s", "Duration of client connections.", _SECONDS, 0.001)
IO = Instrument("kong.connection.io", "By", "Bytes of a client connection, by direction.", _BYTES)
TRIES = Instrument("kong.connection.tries", "{try}", "Tries of the balancer for a connection.", (0, 1, 2, 3, 5, 10))

# Series that are remembered; past it all are looked up anew. A record can have any status.
_MAX_KEYS = 1_000


class ConnectionMetrics:
    """The connections of one plugin entry.

    Args:
        table: of the entry's destination.
        redact: returns attributes without their secrets.
    """

    def __init__(self, table: SeriesTable, redact: Callable[[Attributes], Attributes]) -> None:
        self._table: Final = table
        self._redact: Final = redact
        self._series: dict[tuple[object, ...], list[Histogram]] = {}

    def record(self, outcome: RequestOutcome) -> None:
        """Record one connection; a kept one becomes an exemplar."""
        record = outcome.record
        session = record.log.session
        assert session is not None
        key = (outcome.route, protocol_of(record), record.status)
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= _MAX_KEYS:
                self._series.clear()
            series = self._series[key] = self._new_series(outcome)
        values = (
            record.duration_ms,
            bytes_of(session.received),
            bytes_of(session.sent),
            len(record.tries),
        )
        for histogram, value in zip(series, values, strict=True):
            if value is not None:
                histogram.observe(value, exemplar_of(outcome, value))

    def forget(self) -> None:
        """Forget the series, because their table has."""
        self._series.clear()

    def _new_series(self, outcome: RequestOutcome) -> list[Histogram]:
        record, (service, route) = outcome.record, outcome.route
        attributes = self._redact(
            {**shared_attributes(record), **present({"kong.service.name": service, "kong.route.name": route})}
        )
        received, sent = ({**attributes, "network.io.direction": one} for one in ("receive", "transmit"))
        return [
            self._table.histogram(DURATION, attributes),
            self._table.histogram(IO, received),
            self._table.histogram(IO, sent),
            self._table.histogram(TRIES, attributes),
        ]
