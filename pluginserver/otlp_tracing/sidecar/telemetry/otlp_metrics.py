"""One destination's metrics as OTLP messages: the series of its requests, and the sidecar's own counts.

All counts are cumulative here. For delta temporality the last state that the collector accepted is subtracted, so an
export that fails loses nothing. Exemplars are sent once.

Source: opentelemetry-proto, metrics/v1/metrics.proto; OpenTelemetry specification, metrics/sdk_exporters/otlp.md.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import partial

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otlp_tracing import __version__
from otlp_tracing.config.otel_variables import MetricVariables
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.metrics import METRICS, Metric
from otlp_tracing.sidecar.spans.model import AttributeValue
from otlp_tracing.sidecar.telemetry.exemplars import SentExemplar
from otlp_tracing.sidecar.telemetry.histogram import EXPONENTIAL_SCALE, ExponentialHistogram, Histogram
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.sidecar.telemetry.series_table import Instrument, Series, SeriesTable

_left_out = LimitedLog(logging.getLogger("otlp_tracing.sidecar.telemetry.otlp_metrics"))

# Of one message: about half a megabyte, where collectors take four, and some milliseconds of the event loop.
MAX_POINTS = 1_000
# Metrics with exemplars for the live page, and the number of these: some for each of a few hundred routes, 0.2 MB.
_SHOWN = frozenset({"http.server.request.duration", "kong.connection.duration"})
_MAX_SENT = 1_000
# The specification's default for a base2 exponential histogram.
_MAX_BUCKETS = 160
# Metrics of requests have these already, by entry's destination.
_NOT_SENT = frozenset({"service", "route", "entry"})
_SCOPE = InstrumentationScope(name="otlp_tracing", version=__version__)
_SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
_CUMULATIVE, _DELTA = pb.AGGREGATION_TEMPORALITY_CUMULATIVE, pb.AGGREGATION_TEMPORALITY_DELTA


@dataclass
class Chunk:
    """One message.

    Args:
        request: an ExportMetricsServiceRequest.
        points: their number in it.
        accepted: to be called when the collector has accepted it.
    """

    request: ExportMetricsServiceRequest
    points: int = 0
    accepted: list[Callable[[], None]] = field(default_factory=list)


@dataclass(frozen=True)
class _State:
    """The counts of a histogram at one moment."""

    at_ns: int
    counts: list[int]
    buckets: dict[int, int]
    zeros: int
    sum: float

    @classmethod
    def of(cls, histogram: Histogram, at_ns: int) -> _State:
        if isinstance(histogram, ExponentialHistogram):
            return cls(at_ns, [], dict(histogram.buckets), histogram.zeros, histogram.sum)
        return cls(at_ns, list(histogram.counts), {}, 0, histogram.sum)

    def since(self, earlier: _State) -> _State:
        return _State(
            self.at_ns,
            [now - before for now, before in zip(self.counts, earlier.counts, strict=True)],
            {bucket: count - earlier.buckets.get(bucket, 0) for bucket, count in self.buckets.items()},
            self.zeros - earlier.zeros,
            self.sum - earlier.sum,
        )

    @property
    def count(self) -> int:
        return sum(self.counts) + sum(self.buckets.values()) + self.zeros


class OtlpMetrics:
    """Makes the messages of one destination.

    Args:
        table: the series of requests.
        metrics: the sidecar's own counts.
        addresses: of the destination; counts of other addresses are not sent to it.
        resource: its attributes.
        variables: temporality and aggregation.
        now_ns: nanoseconds since 1970.
    """

    def __init__(
        self,
        table: SeriesTable,
        metrics: Metrics,
        addresses: Set[str],
        resource: Mapping[str, AttributeValue],
        *,
        variables: MetricVariables,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._table = table
        self._metrics = metrics
        self._addresses = addresses
        self._resource = Resource(attributes=_key_values(resource))
        self._variables = variables
        self._now_ns = now_ns
        self._started_ns = now_ns()
        self.sent: deque[SentExemplar] = deque(maxlen=_MAX_SENT)
        """The last exemplars of durations that the collector accepted, oldest first."""
        self._accepted: dict[Series, _State] = {}
        self._accepted_counters: dict[tuple[str, str], tuple[int, float]] = {}

    def chunks(self) -> Iterator[Chunk]:
        """Return the current values, in as many messages as necessary."""
        self._table.sweep()
        chunk = self._new_chunk()
        series = {one for _, some in self._table.all() for one in some}
        self._accepted = {one: state for one, state in self._accepted.items() if one in series}
        for add in (*self._requests(), *self._own()):
            if chunk.points >= MAX_POINTS:
                yield chunk
                chunk = self._new_chunk()
            try:
                add(chunk)
            except (ValueError, TypeError) as error:
                # Of an attribute; the other series must not wait for it.
                _left_out.warning("metric series not encoded, left out: %s", error)
        if chunk.points:
            yield chunk

    def _new_chunk(self) -> Chunk:
        message = pb.ResourceMetrics(resource=self._resource, schema_url=_SCHEMA_URL)
        message.scope_metrics.add(scope=_SCOPE, schema_url=_SCHEMA_URL)
        return Chunk(ExportMetricsServiceRequest(resource_metrics=[message]))

    def _requests(self) -> Iterator[Callable[[Chunk], None]]:
        for instrument, series in self._table.all():
            for one in series:
                yield partial(self._add_series, instrument=instrument, series=one)

    def _add_series(self, chunk: Chunk, instrument: Instrument, series: Series) -> None:
        histogram, is_delta = series.histogram, self._variables.delta_histograms
        state = total = _State.of(histogram, self._now_ns())
        start_ns = series.started_ns
        if is_delta and (before := self._accepted.get(series)) is not None:
            state, start_ns = total.since(before), before.at_ns
        if not state.count:
            return
        exemplars = dict(histogram.exemplars)
        shared = {
            "attributes": _key_values(series.attributes),
            "start_time_unix_nano": start_ns,
            "time_unix_nano": total.at_ns,
            "count": state.count,
            "sum": state.sum * histogram.factor,
            "exemplars": [
                pb.Exemplar(
                    time_unix_nano=e.unix_ns,
                    as_double=e.value * histogram.factor,
                    trace_id=e.trace_id,
                    span_id=e.span_id,
                )
                for e in exemplars.values()
            ],
        }
        about = pb.Metric(name=instrument.name, unit=instrument.unit, description=instrument.description)
        metric = _metric(chunk, about)
        if isinstance(histogram, ExponentialHistogram):
            scale, offset, counts = _merged(state.buckets)
            metric.exponential_histogram.aggregation_temporality = _DELTA if is_delta else _CUMULATIVE
            point = metric.exponential_histogram.data_points.add(scale=scale, zero_count=state.zeros, **shared)
            point.positive.offset = offset
            point.positive.bucket_counts.extend(counts)
        else:
            metric.histogram.aggregation_temporality = _DELTA if is_delta else _CUMULATIVE
            metric.histogram.data_points.add(bucket_counts=state.counts, explicit_bounds=instrument.bounds, **shared)
        chunk.points += 1

        def accepted() -> None:
            self._accepted[series] = total
            if instrument.name in _SHOWN:
                self.sent += [
                    SentExemplar(instrument.name, e.value * histogram.factor, e.trace_id) for e in exemplars.values()
                ]
            for bucket, exemplar in exemplars.items():
                if histogram.exemplars.get(bucket) is exemplar:
                    del histogram.exemplars[bucket]

        chunk.accepted.append(accepted)

    def _own(self) -> Iterator[Callable[[Chunk], None]]:
        for metric in METRICS:
            if metric.kind != "histogram" and not _NOT_SENT & set(metric.labels):
                for labels, value in self._metrics.samples(metric):
                    # The name of a signal that is not traces follows the endpoint.
                    if "destination" not in labels or labels["destination"].partition(" ")[0] in self._addresses:
                        yield partial(self._add_own, metric=metric, labels=labels, value=value)

    def _add_own(self, chunk: Chunk, metric: Metric, labels: Mapping[str, str], value: float) -> None:
        # A receiver for Prometheus adds the ending again.
        message = _metric(chunk, pb.Metric(name=metric.name.removesuffix("_total"), description=metric.help))
        now_ns, key = self._now_ns(), (metric.name, repr(labels))
        start_ns, before = self._started_ns, 0.0
        if metric.kind == "counter":
            is_delta = self._variables.delta_counters
            if is_delta:
                start_ns, before = self._accepted_counters.get(key, (start_ns, before))
            message.sum.is_monotonic = True
            message.sum.aggregation_temporality = _DELTA if is_delta else _CUMULATIVE
            message.sum.data_points.add(
                attributes=_key_values(labels),
                start_time_unix_nano=start_ns,
                time_unix_nano=now_ns,
                as_int=int(value - before),
            )
            chunk.accepted.append(lambda: self._accepted_counters.__setitem__(key, (now_ns, value)))
        else:
            message.gauge.data_points.add(attributes=_key_values(labels), time_unix_nano=now_ns, as_double=value)
        chunk.points += 1


def _metric(chunk: Chunk, about: pb.Metric) -> pb.Metric:
    """Return the metric that a chunk is at, or begin it."""
    metrics = chunk.request.resource_metrics[0].scope_metrics[0].metrics
    if not metrics or metrics[-1].name != about.name:
        metrics.append(about)
    return metrics[-1]


def _merged(buckets: Mapping[int, int]) -> tuple[int, int, list[int]]:
    """Merge neighbouring buckets until they are few enough; return scale, offset and counts."""
    filled = {bucket: count for bucket, count in buckets.items() if count}
    if not filled:
        return EXPONENTIAL_SCALE, 0, []
    low, high, shift = min(filled), max(filled), 0
    while (high >> shift) - (low >> shift) >= _MAX_BUCKETS:
        shift += 1
    counts = [0] * ((high >> shift) - (low >> shift) + 1)
    for bucket, count in filled.items():
        counts[(bucket >> shift) - (low >> shift)] += count
    return EXPONENTIAL_SCALE - shift, low >> shift, counts


def _key_values(attributes: Mapping[str, AttributeValue]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: AttributeValue) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(string_value=str(value))
