"""Promises of sidecar/telemetry/otlp_metrics.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

from otlp_tracing.config.otel_variables import MetricVariables
from otlp_tracing.metrics import CPU_LOAD, RECORDS_REFUSED, ROUTE_REQUESTS, SPANS
from otlp_tracing.sidecar.telemetry import otlp_metrics
from otlp_tracing.sidecar.telemetry.exemplars import Exemplar
from otlp_tracing.sidecar.telemetry.otlp_metrics import OtlpMetrics
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.sidecar.telemetry.series_table import Instrument, SeriesTable

DURATION = Instrument("http.server.request.duration", "s", "Duration.", (0.1, 1, 10))
ATTRIBUTES: dict[str, str | int] = {"http.route": "/a", "http.response.status_code": 200}


class Scene:
    """A destination's metrics, its clock moved by each export."""

    def __init__(self, **variables: str) -> None:
        self.now = 0
        read = MetricVariables.read(variables)
        self.table = SeriesTable(is_exponential=read.is_exponential, now_ns=lambda: self.now)
        self.metrics = Metrics()
        self.source = OtlpMetrics(
            self.table,
            self.metrics,
            {"http://c:1"},
            {"service.name": "kong"},
            variables=read,
            now_ns=lambda: self.now,
        )

    def observe(self, *values: float, exemplar: Exemplar | None = None) -> None:
        for value in values:
            self.table.histogram(DURATION, {**ATTRIBUTES}).observe(value, exemplar)

    def export(self, *, is_accepted: bool = True) -> dict[str, pb.Metric]:
        """Export, and return the metrics by name."""
        self.now += 10
        found: dict[str, pb.Metric] = {}
        for chunk in self.source.chunks():
            for accept in chunk.accepted if is_accepted else ():
                accept()
            found |= {one.name: one for one in chunk.request.resource_metrics[0].scope_metrics[0].metrics}
        return found

    def point(self, *, is_accepted: bool = True) -> Any:
        metric = self.export(is_accepted=is_accepted).get(DURATION.name)
        if metric is None:
            return None
        (point,) = getattr(metric, str(metric.WhichOneof("data"))).data_points
        return point


def sdk_metric(values: Sequence[float]) -> pb.Metric:
    reader = InMemoryMetricReader()
    view = View(instrument_name="*", aggregation=ExplicitBucketHistogramAggregation(DURATION.bounds))
    provider = MeterProvider([reader], views=[view])
    histogram = provider.get_meter("otlp_tracing").create_histogram(DURATION.name, DURATION.unit, DURATION.description)
    for value in values:
        histogram.record(value, ATTRIBUTES)
    data = reader.get_metrics_data()
    assert data is not None
    return encode_metrics(data).resource_metrics[0].scope_metrics[0].metrics[0]


def test_accepted_exemplars_of_durations_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the live page, which shows what the collector has: an export that fails adds none, and they are bounded."""
    monkeypatch.setattr(otlp_metrics, "_MAX_SENT", 3)
    scene = Scene()
    scene.observe(0.5, exemplar=Exemplar(0.5, 1, b"t" * 16, b"s" * 8))
    scene.export(is_accepted=False)
    assert not scene.source.sent

    scene.export()
    for number in range(5):
        scene.observe(0.5, exemplar=Exemplar(0.5, 1, number.to_bytes(16, "big"), b"s" * 8))
        scene.export()

    assert [one.trace_id[-1] for one in scene.source.sent] == [2, 3, 4]
    assert scene.source.sent[0][:2] == ("http.server.request.duration", 0.5)


def test_a_series_that_cannot_be_encoded_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is left out of each export, and the log says so."""
    scene = Scene()
    scene.table.histogram(DURATION, {"http.response.status_code": 1 << 70}).observe(0.5)
    scene.observe(0.5)

    assert scene.point().count == 1
    assert "metric series not encoded, left out: " in caplog.text


def test_a_histogram_is_as_of_the_sdk() -> None:
    """The official encoder writes the same message for the same values, but for times, and minimum and maximum."""
    values = (0.0, 0.1, 0.3, 2.0, 70.0)
    scene = Scene()
    scene.observe(*values)
    ours, theirs = (json_format.MessageToDict(one) for one in (scene.export()[DURATION.name], sdk_metric(values)))

    for one in (ours, theirs):
        (point,) = one["histogram"]["dataPoints"]
        for name in ("startTimeUnixNano", "timeUnixNano", "min", "max"):
            point.pop(name, None)
        point["attributes"].sort(key=lambda attribute: attribute["key"])
    assert ours == theirs


def test_cumulative_counts_go_on_after_an_outage() -> None:
    """A failed export loses nothing: the next one has all counts since the start."""
    scene = Scene()
    scene.observe(0.5)
    scene.point(is_accepted=False)
    scene.observe(0.5, 5)
    point = scene.point()

    assert (point.count, list(point.bucket_counts), point.sum) == (3, [0, 2, 1, 0], 6)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (0, 20)


def test_delta_counts_are_kept_until_they_are_accepted() -> None:
    """A failed export's counts are in the next one; an accepted one's are not, and times follow each other."""
    scene = Scene(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta")
    scene.observe(0.5)
    scene.point(is_accepted=False)
    scene.observe(5)
    both = scene.point()
    scene.observe(50)
    last = scene.point()

    assert list(both.bucket_counts) == [0, 1, 1, 0]
    assert (list(last.bucket_counts), last.sum) == ([0, 0, 0, 1], 50)
    assert (both.start_time_unix_nano, both.time_unix_nano, last.start_time_unix_nano) == (0, 20, 20)
    assert scene.point() is None


def test_an_exemplar_is_sent_once() -> None:
    """It names the trace; it is repeated only if it was not accepted."""
    scene = Scene()
    scene.observe(0.5, exemplar=Exemplar(0.5, 7, b"t" * 16, b"s" * 8))
    scene.point(is_accepted=False)
    (exemplar,) = scene.point().exemplars
    later = scene.point()

    assert (exemplar.trace_id, exemplar.span_id, exemplar.as_double) == (b"t" * 16, b"s" * 8, 0.5)
    assert list(later.exemplars) == []


@pytest.mark.parametrize(("temporality", "is_delta"), [("", False), ("DELTA", True), ("lowmemory", True), ("x", False)])
def test_temporality_is_that_of_the_variable(temporality: str, is_delta: bool) -> None:
    """OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE; with lowmemory, observed counters stay cumulative."""
    scene = Scene(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=temporality)
    scene.observe(1)
    found = scene.export()

    delta, cumulative = pb.AGGREGATION_TEMPORALITY_DELTA, pb.AGGREGATION_TEMPORALITY_CUMULATIVE
    assert found[DURATION.name].histogram.aggregation_temporality == (delta if is_delta else cumulative)
    own = found["otlp_tracing_records_refused"].sum.aggregation_temporality
    assert own == (delta if temporality == "DELTA" else cumulative)


def test_exponential_buckets_hold_their_values() -> None:
    """Each value is above its bucket's lower bound and at most its upper one; 0 is counted alone."""
    scene = Scene(OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION="base2_exponential_bucket_histogram")
    values = (0.0, 0.001, 1.0, 1.5, 2.0, 3600.0)
    scene.observe(*values)
    point = scene.point()

    base = 2 ** (2**-point.scale)
    bounds = [
        (base ** (point.positive.offset + number), base ** (point.positive.offset + number + 1))
        for number, count in enumerate(point.positive.bucket_counts)
        for _ in range(count)
    ]
    assert len(point.positive.bucket_counts) <= 160
    assert (point.zero_count, point.count) == (1, 6)
    assert all(
        low < value * (1 + 1e-9) and value <= high * (1 + 1e-9)
        for value, (low, high) in zip(values[1:], bounds, strict=True)
    )


def test_own_counts_are_sent() -> None:
    """Counters and gauges of the sidecar; those of other destinations and of single routes are not."""
    scene = Scene()
    for endpoint in ("http://c:1", "http://other:1"):
        scene.metrics.add(SPANS.exported, endpoint, amount=3)
    scene.metrics.add(ROUTE_REQUESTS, "s", "r", "rate")
    scene.metrics.add(RECORDS_REFUSED, "bad_frame", amount=2)
    scene.metrics.set(CPU_LOAD, 0.5)
    found = scene.export()

    (exported,) = found["otlp_tracing_spans_exported"].sum.data_points
    assert (exported.as_int, exported.attributes[0].value.string_value) == (3, "http://c:1")
    assert found["otlp_tracing_cpu_load"].gauge.data_points[0].as_double == 0.5
    assert "otlp_tracing_route_requests" not in found


def test_many_series_are_several_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stays far below the size that collectors take; together they are complete."""
    monkeypatch.setattr(otlp_metrics, "MAX_POINTS", 10)
    scene = Scene()
    for number in range(25):
        scene.table.histogram(DURATION, {"http.route": str(number)}).observe(1)
    chunks = [chunk.request.resource_metrics[0].scope_metrics[0].metrics for chunk in scene.source.chunks()]

    sizes = [len(one.histogram.data_points) for metrics in chunks for one in metrics if one.name == DURATION.name]
    assert sizes == [10, 10, 5]
