"""Kong with one nginx worker and one tracing plugin each, under wrk.

Every Kong runs all the time, and the rounds visit one after the other. The upstream is a plain nginx server that one
more Kong has included. It also accepts the exports of the bundled plugins.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.kong import Commands, Kong
from bench.measurement import CpuMeter, Measurement
from bench.plugin_servers import sidecar_command, stock_command
from bench.sink import running_sink
from bench.wrk import run_wrk
from e2e.client import fetch
from e2e.kong_process import NAME
from e2e.ports import HOST, free_port
from e2e.waiting import wait_for
from otlp_tracing.paths import command_line, plugin_folder

NO_PLUGIN = "no plugin"
OPENTELEMETRY = "Kong's opentelemetry"
ZIPKIN = "Kong's zipkin"
STOCK = "stock, gevent"
MSGPACK = "ours, MessagePack"
PROTOBUF = "ours, ProtoBuf"
MSGPACK_QUEUE = "ours, MessagePack, Kong's queue"
PROTOBUF_QUEUE = "ours, ProtoBuf, Kong's queue"
SUBJECTS: Mapping[str, str | None] = {
    NO_PLUGIN: None,
    OPENTELEMETRY: None,
    ZIPKIN: None,
    STOCK: "stock",
    MSGPACK: "msgpack",
    PROTOBUF: "protobuf",
    MSGPACK_QUEUE: "msgpack",
    PROTOBUF_QUEUE: "protobuf",
}
"""Name to the plugin server it needs."""

_WARM_UP_SECONDS = 2
_TOKEN = "0123456789abcdef"  # of a listener on loopback that is gone after the run
_QUEUE_SECONDS = 1.0  # a batch waits for so long, and its CPU time belongs to the round
_START_SECONDS = 60.0


def measure(command: Path, rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, list[Measurement]]:
    """Measure every subject, round by round.

    Args:
        command: the `kong` command.
        rounds: how many.
        seconds: of load on each subject in each round.
        say: called with lines about the progress.
    """
    found: dict[str, list[Measurement]] = {name: [] for name in SUBJECTS}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        say("starting one Kong for the upstream and one for each subject")
        collector = stack.enter_context(running_sink())
        upstream = stack.enter_context(running_upstream(command, folder / "upstream"))
        kongs = {
            name: stack.enter_context(running_subject(command, name, folder, upstream, collector)) for name in SUBJECTS
        }
        for kong in kongs.values():
            run_wrk(kong.port, _WARM_UP_SECONDS)
        for number in range(rounds):
            for name, kong in kongs.items():
                say(f"round {number + 1} of {rounds}: {name}")
                found[name].append(_one_round(kong, seconds))
    return found


@contextlib.contextmanager
def running_upstream(command: Path, folder: Path) -> Iterator[str]:
    """Run a Kong with one more server in its nginx; give that server's URL."""
    folder.mkdir()
    port = free_port()
    included = folder / "upstream.conf"
    included.write_text(
        f"server {{ listen {HOST}:{port}; access_log off; keepalive_requests 1000000; client_max_body_size 0;"
        ' location / { return 200 "upstream\\n"; } }\n'
    )
    # A Kong without any entity never gets ready.
    declaration = {"_format_version": "3.0", "services": [{"name": "unused", "url": f"http://{HOST}:9"}]}
    with Kong(command, folder, declaration, settings={"nginx_http_include": included}):
        yield f"http://{HOST}:{port}"


@contextlib.contextmanager
def running_subject(
    command: Path,
    name: str,
    folder: Path,
    upstream: str,
    collector: str,
    *,
    workers: int = 1,
    settings: Mapping[str, object] | None = None,
    plugins: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Kong]:
    """Run a Kong with one of SUBJECTS.

    Args:
        command: the `kong` command.
        name: of SUBJECTS.
        folder: where its prefix is made.
        upstream: URL of the upstream.
        collector: OTLP endpoint of our spans.
        workers: of our plugin server.
        settings: added to its kong.conf.
        plugins: added to its declaration.
    """
    prefix = folder / re.sub(r"\W+", "-", name)
    prefix.mkdir()
    declaration: dict[str, Any] = {
        "_format_version": "3.0",
        "services": [{"name": "answering", "url": upstream, "routes": [{"name": "all", "paths": ["/"]}]}],
        "plugins": [*_plugins(name, upstream, collector), *plugins],
    }
    tracing = {"tracing_instrumentations": "all", "tracing_sampling_rate": 1} if name == OPENTELEMETRY else {}
    kind = SUBJECTS[name]
    ingest = free_port() if name in {MSGPACK_QUEUE, PROTOBUF_QUEUE} else None
    if ingest is not None:
        declaration["plugins"].append(_http_log(ingest))
    with contextlib.ExitStack() as stack:
        if kind == "stock":
            stack.enter_context(_sidecar(prefix / "sidecar.sock"))
        server = _commands(kind, prefix, workers, ingest) if kind else None
        kong = stack.enter_context(Kong(command, prefix, declaration, server, {**tracing, **(settings or {})}))
        # A plugin server that is late for its first request costs that one a 500 and the next ten seconds.
        wait_for(lambda: _answers(kong), _START_SECONDS, f"{name} answers")
        yield kong


def _answers(kong: Kong) -> bool:
    started = time.monotonic()
    return fetch(f"http://{HOST}:{kong.port}", "/orders").status == 200 and time.monotonic() < started + 1


def _plugins(name: str, upstream: str, collector: str) -> list[dict[str, Any]]:
    if name == OPENTELEMETRY:
        return [{"name": "opentelemetry", "config": {"traces_endpoint": f"{upstream}/v1/traces"}}]
    if name == ZIPKIN:
        return [{"name": "zipkin", "config": {"http_endpoint": f"{upstream}/api/v2/spans", "sample_ratio": 1}}]
    if SUBJECTS[name]:
        return [{"name": NAME, "config": {"endpoint": collector, "sampling": {"rate": 1}}}]
    return []


def _http_log(port: int) -> dict[str, Any]:
    """Make the entry that docs/hand-over.md has."""
    queue = {
        "max_batch_size": 200,
        "max_coalescing_delay": _QUEUE_SECONDS,
        "max_entries": 100_000,
        "max_bytes": 32 << 20,
        "max_retry_time": 600,
        "max_retry_delay": 5,
    }
    endpoint = f"http://{HOST}:{port}/otlp-tracing/records"
    config = {"http_endpoint": endpoint, "headers": {"X-OTLP-Tracing-Token": _TOKEN}, "queue": queue}
    return {"name": "http-log", "config": config}


def _commands(kind: str, prefix: Path, workers: int, ingest: int | None = None) -> Commands:
    if kind == "stock":
        script = str(Path(sys.executable).with_name("kong-python-pluginserver"))
        return Commands([script, "-d", str(plugin_folder()), "--dump-all-plugins"], stock_command(prefix))
    quiet = ("--log-level", "error")
    address = ("--http", f"{HOST}:{free_port()}", "--workers", str(workers))
    serve = command_line("serve", "--kong-prefix", str(prefix), *address, *quiet)
    if ingest is None:
        return Commands(command_line("dump", "--protocol", kind, *quiet), serve)
    token = prefix / "ingest-token"
    token.write_text(_TOKEN)
    listener = ("--ingest-http", f"{HOST}:{ingest}", "--ingest-token-file", str(token))
    return Commands(command_line("dump", "--protocol", kind, "--hand-over", "kong", *quiet), [*serve, *listener])


@contextlib.contextmanager
def _sidecar(listen: Path) -> Iterator[None]:
    """Run the stock server's sidecar."""
    process = subprocess.Popen(sidecar_command(listen))
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _one_round(kong: Kong, seconds: float) -> Measurement:
    nginx, server, sidecar = (CpuMeter(kong.pids(kind)) for kind in ("nginx", "server", "sidecar"))
    said = run_wrk(kong.port, seconds)
    time.sleep(_QUEUE_SECONDS)
    return Measurement(
        requests_per_second=said.requests_per_second,
        p50_ms=said.p50_ms,
        p99_ms=said.p99_ms,
        nginx_us=nginx.microseconds(said.requests),
        server_us=server.microseconds(said.requests),
        sidecar_us=sidecar.microseconds(said.requests),
        failed=said.failed,
    )
