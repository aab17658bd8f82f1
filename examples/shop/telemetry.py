"""OpenTelemetry for one service: traces and metrics to a collector, from a background thread.

Everything that an operator may want to change comes from the SDK's own variables: OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER (parentbased_always_on unless set, so that the gateway decides), OTEL_BSP_*
for the batches, OTEL_PROPAGATORS (tracecontext and baggage unless set).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

__all__ = ["telemetry"]

_METRIC_INTERVAL_MS = 5_000
_LAST_EXPORT_MS = 2_000


@contextlib.contextmanager
def telemetry(service_name: str, version: str = "1.0.0") -> Iterator[None]:
    """Export until the block ends, then send the rest.

    The providers become the global ones, so every module asks for its tracer and its meter once, at import, and keeps
    them: `trace.get_tracer(__name__)` gives a proxy that finds the provider by itself.

    Args:
        service_name: service.name of the resource; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override it.
        version: service.version.
    """
    resource = Resource({"service.name": service_name, "service.version": version}).merge(_from_environment())
    traces = TracerProvider(resource=resource)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=_METRIC_INTERVAL_MS)
    measurements = MeterProvider(resource=resource, metric_readers=[reader])
    trace.set_tracer_provider(traces)
    metrics.set_meter_provider(measurements)
    try:
        yield
    finally:
        traces.force_flush(_LAST_EXPORT_MS)
        traces.shutdown()
        measurements.shutdown(_LAST_EXPORT_MS)


def _from_environment() -> Resource:
    # Resource.create() would put "unknown_service" over our name where the environment names none.
    created = Resource.create()
    unknown = str(created.attributes.get("service.name", "")).startswith("unknown_service")
    return Resource(
        {name: value for name, value in created.attributes.items() if name != "service.name" or not unknown}
    )
