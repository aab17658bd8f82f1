"""Environment variables that fill unset fields of the plugin's configuration, or that a field refers to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from e2e.client import Caller
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import PluginServer
from e2e.spans import SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink


def test_otel_variables_fill_what_is_unset(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink, spans_at_sink: SinkReader
) -> None:
    """Endpoint, headers, resource, sampler and propagators come from OTEL_* variables; others are named as not used.

    They are given in the start command: nginx empties the environment of its workers, which start it.
    """
    variables = [
        f"OTEL_EXPORTER_OTLP_ENDPOINT={sink.sink.endpoint.removeprefix('http://')}",
        "OTEL_EXPORTER_OTLP_INSECURE=true",
        "OTEL_TRACES_SAMPLER=parentbased_always_off",
        "OTEL_PROPAGATORS=b3",
        "OTEL_BSP_SCHEDULE_DELAY=1",
        "OTEL_EXPORTER_OTLP_HEADERS=x-api-key=planted",
        "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=e2e",
        "OTEL_SERVICE_NAME=edge",
    ]

    def server(prefix: Path) -> PluginServer:
        ours = PluginServer.ours(prefix)
        return dataclasses.replace(ours, start=["env", *variables, *ours.start])

    entry = {"name": "otlp-tracing", "config": {"batch_export": {"timeout": 100}}}
    caller = Caller.new()
    before = {one.trace_id for one in spans_at_sink.spans()}
    with start_gateway(declaration(service("api", upstream.url, [entry])), server) as gateway:
        assert gateway.get("/api/0", [Caller.new().header()]).status == 200
        assert gateway.get("/api/1", [("b3", f"{caller.trace_id}-{caller.span_id}-1")]).status == 200
        span, _ = wait_for_trace(spans_at_sink, caller.trace_id)
        log = gateway.log()

    assert span.parent_span_id == caller.span_id
    assert {one.trace_id for one in spans_at_sink.spans()} - before == {caller.trace_id}
    assert "OTEL_BSP_SCHEDULE_DELAY: set, and not used" in log
    assert span.resource["service.name"] == "edge"
    assert span.resource["deployment.environment.name"] == "e2e"
    assert dict(sink.sink.requests[-1].metadata)["x-api-key"] == "planted"


def test_a_header_comes_from_kongs_vault(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink, spans_at_sink: SinkReader
) -> None:
    """A reference to a variable of Kong's environment is replaced by Kong; the collector gets the secret."""
    entry = tracing(sink.sink.endpoint, headers=["{vault://env/e2e-header}"])
    caller = Caller.new()
    content = declaration(service("api", upstream.url, [entry]))

    with start_gateway(content, environment={"E2E_HEADER": "x-api-key: from-the-vault"}) as gateway:
        assert gateway.get("/api/1", [caller.header()]).status == 200
        wait_for_trace(spans_at_sink, caller.trace_id)

    assert dict(sink.sink.requests[-1].metadata)["x-api-key"] == "from-the-vault"
