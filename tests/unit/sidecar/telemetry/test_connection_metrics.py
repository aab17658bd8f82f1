"""Promises of sidecar/telemetry/connection_metrics.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from otlp_tracing.sidecar.telemetry.histogram import Histogram
from otlp_tracing.sidecar.telemetry.request_metrics import EntryMetrics
from otlp_tracing.sidecar.telemetry.series_table import SeriesTable
from spans_of import CONTEXT, outcome_of, rules_of

CONNECTION: dict[str, Any] = {
    "session": {"status": 200, "received": 700, "sent": 90_000, "server_port": 5432},
    "latencies": {"session": 90_000, "kong": 1},
    "route": {"protocols": ["tcp"]},
    "tries": [{"state": "failed"}, {}],
}


class Scene:
    """One entry's metrics."""

    def __init__(self, **table: Any) -> None:
        self._table = SeriesTable(**table)
        self._metrics = EntryMetrics(self._table, rules_of(), dict)

    def record(self, *spans: bytes, **fields: Any) -> None:
        self._metrics.record(outcome_of(spans=spans, **fields))

    def of(self, name: str) -> list[tuple[Mapping[str, Any], Histogram]]:
        return [
            (one.attributes, one.histogram)
            for instrument, some in self._table.all()
            for one in some
            if instrument.name == name
        ]


def test_a_connection_is_in_its_own_metrics_alone() -> None:
    """Duration, bytes by direction, and tries; it is no HTTP request."""
    scene = Scene()
    scene.record(**CONNECTION)

    attributes = {
        "network.transport": "tcp",
        "kong.connection.protocol": "tcp",
        "kong.connection.status": 200,
        "kong.service.name": "users",
        "kong.route.name": "all",
    }
    ((found, duration),) = scene.of("kong.connection.duration")
    assert (found, duration.sum, duration.count) == (attributes, 90_000, 1)
    assert {one["network.io.direction"]: histogram.sum for one, histogram in scene.of("kong.connection.io")} == {
        "receive": 700,
        "transmit": 90_000,
    }
    assert [histogram.sum for _, histogram in scene.of("kong.connection.tries")] == [2]
    assert not scene.of("http.server.request.duration")


def test_errors_are_a_series_of_their_own() -> None:
    """A refused upstream can be alerted on."""
    scene = Scene()
    scene.record(**CONNECTION)
    scene.record(**{**CONNECTION, "session": {"status": 502}})

    errors = [one for one, _ in scene.of("kong.connection.duration") if "error.type" in one]
    assert [one["error.type"] for one in errors] == ["connection_error"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_kept_connection_is_an_exemplar(kept: bool) -> None:
    """It leads from a bucket to the trace."""
    scene = Scene()
    scene.record(*[b"span"] * kept, **CONNECTION)
    ((_, duration),) = scene.of("kong.connection.duration")

    assert [one.trace_id for one in duration.exemplars.values()] == [CONTEXT.trace_id] * kept


def test_any_status_and_any_number_of_bytes_stays_within_the_bound() -> None:
    """Past the bound all are counted together; a text that is no number is left out."""
    scene = Scene(max_series=20)
    for status in range(2_000):
        scene.record(**{**CONNECTION, "session": {"status": status, "received": "-"}})

    assert len(scene.of("kong.connection.duration")) == 20
    assert sum(histogram.count for _, histogram in scene.of("kong.connection.duration")) == 2_000
    assert not [one for one, histogram in scene.of("kong.connection.io") if histogram.count]
