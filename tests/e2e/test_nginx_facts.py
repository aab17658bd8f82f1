"""nginx's facts and request debugging: only a real Kong runs Lua and measures its plugins (`--kong`)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
import yaml

from e2e.client import Caller
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RunningGateway
from e2e.ports import HOST
from e2e.spans import SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from otlp_tracing.commands.nginx_snippet import as_kong_yml
from otlp_tracing.paths import command_line
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_DEBUGGING = (3, 5)  # the first Kong with request debugging


@pytest.fixture(autouse=True, scope="module")
def _only_on_kong(on_kong: bool) -> None:
    if not on_kong:
        pytest.skip("needs a real Kong: the stand-in runs no Lua and measures no plugin")


class _Late(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """Sends a message, and fails after it: the status is in the trailers."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:  # noqa: ARG002
        return grpc.unary_stream_rpc_method_handler(self._fail)

    @staticmethod
    def _fail(message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield message
        context.abort(grpc.StatusCode.UNAVAILABLE, "too late")


@pytest.fixture(scope="module")
def calls() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2), handlers=[_Late()])
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    yield f"grpc://{HOST}:{port}"
    server.stop(0)


@pytest.fixture(scope="module")
def gateway(
    _only_on_kong: None, start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink, calls: str
) -> Iterator[RunningGateway]:
    waits = {"name": "post-function", "config": {"access": ["ngx.sleep(0.2)"]}}
    snippet = yaml.safe_load(as_kong_yml())["plugins"]
    route = {"name": "late", "paths": ["/t.Late"], "protocols": ["grpc"], "strip_path": False}
    content = declaration(
        service("api", upstream.url),
        service("waits", upstream.url, [waits]),
        {"name": "late", "url": calls, "routes": [route]},
        plugins=[*snippet, tracing(sink.sink.endpoint)],
    )
    with start_gateway(content) as running:
        yield running


def test_nginx_knows_the_times_and_the_version(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """The version of HTTP, the phases, and the times of the try; a phase that waits is a span."""
    caller = Caller.new()
    gateway.get("/waits/1", [caller.header()])
    *internal, server, client = wait_for_trace(spans_at_sink, caller.trace_id, 3)

    assert server.attributes["network.protocol.version"] == "1.1"
    assert server.attributes["kong.latency.access_ms"] >= 200
    # In seconds: a part of the span, whatever the machine's speed. nginx rounds to a millisecond.
    took = (client.end_unix_ns - client.start_unix_ns) / 1e9 + 0.002
    assert client.attributes["nginx.upstream_connect_time"] <= client.attributes["nginx.upstream_response_time"] <= took
    assert [span.name for span in internal if span.name != "kong.body_filter"] == ["kong.access"]
    assert internal[0].end_unix_ns - internal[0].start_unix_ns >= 195_000_000


def test_a_grpc_error_after_a_message_is_an_error(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """HTTP says 200, the trailers say UNAVAILABLE."""
    caller = Caller.new()
    with grpc.insecure_channel(gateway.http2_url.removeprefix("http://")) as channel:
        call: Any = channel.unary_stream("/t.Late/Say", bytes, bytes)
        with pytest.raises(grpc.RpcError):
            list(call(b"x", metadata=[caller.header()], timeout=60))
    server, client = wait_for_trace(spans_at_sink, caller.trace_id, 2)

    for span in (server, client):
        assert span.attributes["http.response.status_code"] == 200
        assert span.attributes["rpc.response.status_code"] == span.attributes["error.type"] == "UNAVAILABLE"
        assert span.is_error
    assert server.attributes["network.protocol.version"] == "2"


def test_trace_draws_the_time_of_each_plugin(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """The request is a trace, with a span a step; Kong 3.4 measures nothing, which is said in one sentence."""
    command = command_line("trace", "GET", f"{gateway.url}/waits/2")
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    trace_id = done.stdout.splitlines()[0].split()[-1]
    if gateway.version < _DEBUGGING:
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "it needs Kong 3.5 or newer" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    lines = [line.split()[:2] for line in done.stdout.splitlines()]
    assert ["plugin", "otlp-tracing"] in lines
    assert ["plugin", "post-function"] in lines
    spans = wait_for_trace(spans_at_sink, trace_id, 10)
    plugins = {span.attributes["kong.plugin.name"] for span in spans if span.name == "kong.plugin"}
    assert {"otlp-tracing", "post-function", "pre-function"} <= plugins
    (waited,) = [
        s
        for s in spans
        if s.attributes.get("kong.plugin.name") == "post-function" and s.end_unix_ns - s.start_unix_ns > 150_000_000
    ]
    assert waited.name == "kong.plugin"
