"""What else runs on the gateway behaves as it did without us."""

from __future__ import annotations

from pathlib import Path

from e2e.client import Caller
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.spans import SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

PLUGINS = Path(__file__).parent / "plugins"


def test_a_slow_plugin_of_another_server_still_rejects(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink, spans_at_sink: SinkReader
) -> None:
    """An authentication plugin may take longer than a second: its 401 is the answer, and the span says so."""
    content = declaration(service("api", upstream.url, [tracing(sink.sink.endpoint), {"name": "slow"}]))
    caller = Caller.new()
    with start_gateway(content, neighbour=("slow", PLUGINS)) as gateway:
        answer = gateway.get(f"/api/{caller.span_id}", [caller.header()])
        (server,) = wait_for_trace(spans_at_sink, caller.trace_id, 1)

    assert answer.status == 401
    assert server.attributes["http.response.status_code"] == 401
    assert server.attributes["kong.response.source"] == "kong"
    assert server.parent_span_id == caller.span_id
