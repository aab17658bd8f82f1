"""The gateways that are compared: Kong with one tracing plugin each, and Kong without one.

Each has one nginx worker. The upstream is a plain nginx server that one more Kong has included. It also accepts the
exports of the bundled plugins.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.kong import Commands, Kong
from bench.plugin_servers import TRIVIAL_PLUGIN, stock_command
from bench.sink import running_sink
from bench.wrk import ROUTE
from e2e.kong_process import NAME
from e2e.ports import HOST, free_port
from e2e.waiting import wait_for
from otlp_tracing.paths import command_line
from otlp_tracing.sidecar.ingest.options import PATH, TOKEN_HEADER

# The last records of a load wait so long, and their CPU time belongs to its requests.
_QUEUE_SECONDS = 1.2  # Kong's queues send a batch after one second
_EMITTER_SECONDS = 0.2
_TOKEN = "0123456789abcdef"  # of a listener on loopback that is gone after the run
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Subject:
    """A kind of tracing.

    Args:
        plugin: of kong.yml.
        protocol: of the plugin server; None without one.
        queued: whether Kong's queue hands the records over.
        before: whether the plugin server is of the other build, that of `--before`.
    """

    plugin: str | None = None
    protocol: str | None = None
    queued: bool = False
    before: bool = False


NO_PLUGIN = "no plugin"
OPENTELEMETRY = "Kong's opentelemetry"
ZIPKIN = "Kong's zipkin"
TRIVIAL = "stock server, a trivial plugin"
MSGPACK = "ours, MessagePack"
PROTOBUF = "ours, ProtoBuf"
MSGPACK_QUEUE = "ours, MessagePack, Kong's queue"
PROTOBUF_QUEUE = "ours, ProtoBuf, Kong's queue"
MSGPACK_BEFORE = "before, MessagePack"
PROTOBUF_BEFORE = "before, ProtoBuf"
SUBJECTS: Mapping[str, Subject] = {
    NO_PLUGIN: Subject(),
    OPENTELEMETRY: Subject("opentelemetry"),
    ZIPKIN: Subject("zipkin"),
    TRIVIAL: Subject("trivial", "msgpack"),
    MSGPACK: Subject(NAME, "msgpack"),
    PROTOBUF: Subject(NAME, "protobuf"),
    MSGPACK_QUEUE: Subject(NAME, "msgpack", queued=True),
    PROTOBUF_QUEUE: Subject(NAME, "protobuf", queued=True),
    MSGPACK_BEFORE: Subject(NAME, "msgpack", before=True),
    PROTOBUF_BEFORE: Subject(NAME, "protobuf", before=True),
}


@dataclass(frozen=True)
class Surroundings:
    """The same for all gateways of a run.

    Args:
        command: the `kong` command.
        folder: where prefixes are made.
        upstream: URL of the upstream.
        collector: OTLP endpoint of our spans.
        before: the `otlp-tracing` command of another build.
    """

    command: Path
    folder: Path
    upstream: str
    collector: str
    before: Path | None


class Gateway:
    """A running Kong of one subject."""

    def __init__(self, kong: Kong, subject: Subject, declared: _Declarations) -> None:
        self.kong = kong
        bundled = subject.plugin is not None and subject.protocol is None
        self.settle_seconds = _QUEUE_SECONDS if bundled or subject.queued else _EMITTER_SECONDS
        self._declared = declared

    def trace(self, rate: float, routes: int = 1, *, logs: bool = False) -> None:
        """Change the sampling rate, the number of routes and the access log, and wait until all are in force."""
        declaration, probe = self._declared.next(rate, routes, logs=logs)
        self.kong.declare(declaration)
        wait_for(lambda: self.kong.answers(probe), _START_SECONDS, f"{probe} answers")


class _Declarations:
    """The kong.yml of a gateway, one after the other; each has a route that no earlier one has."""

    def __init__(self, subject: Subject, around: Surroundings, ingest: int, more: Sequence[Mapping[str, Any]]) -> None:
        self._subject, self._around, self._ingest, self._more = subject, around, ingest, more
        self._number = 0

    def next(self, rate: float, routes: int = 1, *, logs: bool = False) -> tuple[dict[str, Any], str]:
        """Return the declaration, and the path of its own route."""
        self._number += 1
        probe = f"/declared/{self._number}"
        paths = [probe, *map(ROUTE.format, range(routes))]
        entries = [{"name": path.strip("/").replace("/", "-"), "paths": [path]} for path in paths]
        return {
            "_format_version": "3.0",
            "services": [{"name": "answering", "url": self._around.upstream, "routes": entries}],
            "plugins": [*self._plugins(rate, logs=logs), *self._more],
        }, probe

    def _plugins(self, rate: float, *, logs: bool) -> Iterator[dict[str, Any]]:
        upstream, name = self._around.upstream, self._subject.plugin
        if name == "opentelemetry":
            yield {"name": name, "config": {"traces_endpoint": f"{upstream}/v1/traces", "sampling_rate": rate}}
        elif name == "zipkin":
            yield {"name": name, "config": {"http_endpoint": f"{upstream}/api/v2/spans", "sample_ratio": rate}}
        elif name == "trivial":
            yield {"name": NAME}
        elif name:
            config = {"endpoint": self._around.collector, "sampling": {"rate": rate}}
            yield {"name": NAME, "config": {**config, **({"logs": {"requests": "all"}} if logs else {})}}
        if self._subject.queued:
            yield self._http_log()

    def _http_log(self) -> dict[str, Any]:
        """Make the entry that docs/hand-over.md has."""
        queue = {
            "max_batch_size": 200,
            "max_coalescing_delay": 1,
            "max_entries": 100_000,
            "max_bytes": 32 << 20,
            "max_retry_time": 600,
            "max_retry_delay": 5,
        }
        endpoint = f"http://{HOST}:{self._ingest}{PATH}"
        config = {"http_endpoint": endpoint, "headers": {TOKEN_HEADER: _TOKEN}, "queue": queue}
        return {"name": "http-log", "config": config}


@contextlib.contextmanager
def surroundings(command: Path, before: Path | None = None) -> Iterator[Surroundings]:
    """Run the upstream and the collector."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        collector = stack.enter_context(running_sink())
        upstream = stack.enter_context(_running_upstream(command, folder / "upstream"))
        yield Surroundings(command, folder, upstream, collector, before)


@contextlib.contextmanager
def _running_upstream(command: Path, folder: Path) -> Iterator[str]:
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
def running_gateway(
    name: str,
    around: Surroundings,
    *,
    workers: int = 1,
    settings: Mapping[str, object] | None = None,
    plugins: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Gateway]:
    """Run a Kong with one of SUBJECTS, at a rate of 100 %.

    Args:
        name: of SUBJECTS.
        around: its surroundings.
        workers: of our plugin server.
        settings: added to its kong.conf.
        plugins: added to its declarations.
    """
    subject = SUBJECTS[name]
    prefix = around.folder / re.sub(r"\W+", "-", name)
    prefix.mkdir()
    ingest = free_port()
    declarations = _Declarations(subject, around, ingest, plugins)
    declaration, probe = declarations.next(1.0)
    tracing = {"tracing_instrumentations": "all", "tracing_sampling_rate": 1} if name == OPENTELEMETRY else {}
    server = _commands(subject, around, prefix, workers, ingest) if subject.protocol else None
    with Kong(around.command, prefix, declaration, server, {**tracing, **(settings or {})}) as kong:
        # A plugin server that is late for its first request costs that one a 500 and the next ten seconds.
        wait_for(lambda: kong.answers(probe), _START_SECONDS, f"{name} answers")
        yield Gateway(kong, subject, declarations)


def _commands(subject: Subject, around: Surroundings, prefix: Path, workers: int, ingest: int) -> Commands:
    assert subject.protocol
    if subject.plugin == "trivial":
        script = str(Path(sys.executable).with_name("kong-python-pluginserver"))
        return Commands(
            [script, "-d", str(TRIVIAL_PLUGIN), "--dump-all-plugins"], stock_command(prefix, TRIVIAL_PLUGIN)
        )
    program = [str(around.before)] if subject.before else command_line()
    dump = [*program, "dump", "--protocol", subject.protocol]
    serve = [*program, "serve", "--kong-prefix", str(prefix), "--http", f"{HOST}:{free_port()}"]
    if subject.queued:
        token = prefix / "ingest-token"
        token.write_text(_TOKEN)
        dump += ["--hand-over", "kong"]
        serve += ["--ingest-http", f"{HOST}:{ingest}", "--ingest-token-file", str(token)]
    quiet = ("--log-level", "error")
    return Commands([*dump, *quiet], [*serve, "--workers", str(workers), *quiet])
