"""Promises of sidecar/telemetry/request_duration.py."""

from __future__ import annotations

from typing import Any

from prometheus_client.exposition import choose_encoder

from otlp_tracing.metrics import NAMES_REFUSED
from otlp_tracing.sidecar.route_table import RouteTable
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.sidecar.telemetry.request_duration import RequestDuration
from spans_of import outcome_of, record_of

NAME = "otlp_tracing_request_duration_seconds"


def observed(*records: dict[str, Any], max_series: int = 10) -> Metrics:
    metrics = Metrics()
    durations = RequestDuration(metrics, HttpMethods({}), RouteTable(), max_series)
    for fields in records:
        record = record_of(**fields)
        durations.observe(outcome_of(route_key=(record.service, record.route), **fields))
    return metrics


def count(metrics: Metrics, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"{NAME}_count", labels)


def test_every_request_is_counted_with_the_spans_labels() -> None:
    """Kept or not; by names where there are names, by class of status, by source of the answer."""
    fields = {"service": {"name": "users"}, "route": {"id": "r1"}, "latencies": {"request": 250}, "source": "kong"}
    metrics = observed(fields, fields | {"response": {"status": 429}}, {"request": {"method": "BREW"}, "service": None})

    users = {"service": "users", "route": "r1", "method": "GET", "source": "kong"}
    assert count(metrics, **users, status="2xx") == 1
    assert count(metrics, **users, status="4xx") == 1
    assert count(metrics, service="", route="", method="HTTP", status="2xx", source="kong") == 1
    assert metrics.registry.get_sample_value(f"{NAME}_sum", {**users, "status": "2xx"}) == 0.25


def test_a_connection_is_no_request() -> None:
    """It lasts as long as its client wants."""
    assert count(observed({"session": {"status": 200}}), service="users", route="", method="HTTP", status="2xx") is None


def test_a_kept_trace_is_an_exemplar() -> None:
    """A bucket leads to a trace that exists, and only to such a one."""
    metrics = Metrics()
    durations = RequestDuration(metrics, HttpMethods({}), RouteTable())
    durations.observe(outcome_of(latencies={"request": 60}))
    durations.observe(outcome_of(latencies={"request": 2}, spans=[b"kept"]))

    def lines(accept: str) -> list[str]:
        encode, _ = choose_encoder(accept)
        return [line for line in encode(metrics.registry).decode().splitlines() if " # {" in line]

    (exemplar,) = lines("application/openmetrics-text; version=1.0.0")
    assert lines("text/plain") == []
    assert 'le="0.005"' in exemplar
    assert f'trace_id="{"01" * 16}"' in exemplar
    assert f'span_id="{"02" * 8}"' in exemplar


def test_the_series_are_bounded() -> None:
    """Past the bound services and routes are counted together, and that is counted."""
    metrics = observed(*({"service": {"name": str(number)}} for number in range(5)), max_series=2)

    assert count(metrics, service="1", route="", method="GET", status="2xx", source="kong") == 1
    assert count(metrics, service="_OTHER", route="_OTHER", method="GET", status="2xx", source="kong") == 3
    assert metrics.value(NAMES_REFUSED, kind="request_duration") == 3
