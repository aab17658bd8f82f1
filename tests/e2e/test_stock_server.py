"""The plugin on Kong's own kong-python-pluginserver, with a sidecar of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.client import Caller, fetch
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import PluginServer, RunningGateway
from e2e.kong_process import NAME
from e2e.ports import HOST, free_port
from e2e.spans import SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing.paths import command_line, plugin_folder
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

pytestmark = pytest.mark.stock

_START = "from kong_pdk.cli import start_server; start_server()"


def _stock(*arguments: str) -> list[str]:
    return [sys.executable, "-c", _START, "--plugins-directory", str(plugin_folder()), *arguments]


@contextlib.contextmanager
def _sidecar(folder: Path) -> Iterator[tuple[Path, int]]:
    """Run a sidecar on its own; gives its socket and its HTTP port."""
    socket, port = folder / "sidecar.sock", free_port()
    command = command_line("sidecar", "--listen", str(socket), "--http", f"{HOST}:{port}")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: _is_ready(port), 40, "the sidecar is ready")
            yield socket, port
        finally:
            process.terminate()  # Popen's own exit waits for it


def _is_ready(port: int) -> bool:
    try:
        return fetch(f"http://{HOST}:{port}", "/readyz").status == 200
    except (OSError, IndexError):
        return False


@pytest.fixture(params=["threads", "threads-no-lua-style", "gevent", "gevent-no-lua-style"])
def gateway(
    request: pytest.FixtureRequest,
    start_gateway: StartGateway,
    upstream: RecordingUpstream,
    sink: ThreadedOtlpSink,
    tmp_path: Path,
) -> Iterator[RunningGateway]:
    mode, _, style = request.param.partition("-")
    options = [*(["--gevent"] if mode == "gevent" else []), *([f"--{style}"] if style else [])]
    content = declaration(service("api", upstream.url, [tracing(sink.sink.endpoint)]))
    with _sidecar(tmp_path) as (socket, port):

        def server(prefix: Path) -> PluginServer:
            start = _stock("--kong-prefix", str(prefix), "--socket-name", f"{NAME}.socket", *options)
            return PluginServer(_stock("--dump-all-plugins"), ["env", f"OTLP_TRACING_SIDECAR={socket}", *start], port)

        with start_gateway(content, server) as running:
            yield running


def test_a_request_is_traced_end_to_end(
    gateway: RunningGateway, upstream: RecordingUpstream, spans_at_sink: SinkReader
) -> None:
    """In every mode of the stock server the caller's trace continues, upstream and in the spans."""
    caller = Caller.new()

    assert gateway.get(f"/api/{caller.span_id}", [caller.header()]).status == 200

    server, client = wait_for_trace(spans_at_sink, caller.trace_id)
    assert server.parent_span_id == caller.span_id
    assert upstream.request(caller.span_id).traceparent == (caller.trace_id, client.span_id, "01")


def test_the_dump_is_json_and_nothing_else() -> None:
    """Kong decodes all that the query prints: one plugin, with its phases, and not a line beside it."""
    printed = subprocess.run(_stock("--dump-all-plugins"), capture_output=True, check=True).stdout

    (plugin,) = json.loads(printed)
    assert (plugin["Name"], sorted(plugin["Phases"])) == (NAME, ["access", "log"])
