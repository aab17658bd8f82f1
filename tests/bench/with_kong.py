"""Kong with one nginx worker and one tracing plugin each, under wrk.

Every Kong runs all the time, and the rounds go from one to the next. The upstream is a plain nginx server
that one more Kong has included; it takes what the bundled plugins export as well.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.kong import PLUGIN, Commands, Kong
from bench.measurement import CpuMeter, Measurement
from bench.plugin_servers import sidecar_command, stock_command
from bench.sink import running_sink
from e2e.ports import HOST, free_port
from otlp_tracing.installation import command_line, plugin_folder

__all__ = ["CONNECTIONS", "NO_PLUGIN", "OPENTELEMETRY", "STOCK", "SUBJECTS", "ZIPKIN", "WrkMissingError", "measure"]

CONNECTIONS = 32
NO_PLUGIN = "no plugin"
OPENTELEMETRY = "Kong's opentelemetry"
ZIPKIN = "Kong's zipkin"
STOCK = "stock, gevent"
SUBJECTS: Mapping[str, str | None] = {
    NO_PLUGIN: None,
    OPENTELEMETRY: None,
    ZIPKIN: None,
    STOCK: "stock",
    "ours, MessagePack": "msgpack",
    "ours, ProtoBuf": "protobuf",
}
"""Name to the plugin server it needs."""

_WARM_UP_SECONDS = 2
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


class WrkMissingError(Exception):
    """There is no wrk."""

    def __init__(self) -> None:
        super().__init__("wrk is not installed (Debian's package wrk); the rounds with Kong need it")


def measure(command: Path, rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, list[Measurement]]:
    """Measure every subject, round by round.

    Args:
        command: the `kong` command.
        rounds: how many.
        seconds: of load on each subject in each round.
        say: told what goes on.

    Raises:
        WrkMissingError: there is no wrk.
    """
    if shutil.which("wrk") is None:
        raise WrkMissingError
    found: dict[str, list[Measurement]] = {name: [] for name in SUBJECTS}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        say("starting one Kong for the upstream and one for each subject")
        collector = stack.enter_context(running_sink())
        upstream = stack.enter_context(_upstream(command, folder / "upstream"))
        kongs = {name: stack.enter_context(_subject(command, name, folder, upstream, collector)) for name in SUBJECTS}
        for kong in kongs.values():
            _wrk(kong.port, _WARM_UP_SECONDS)
        for number in range(rounds):
            for name, kong in kongs.items():
                say(f"round {number + 1} of {rounds}: {name}")
                found[name].append(_one_round(kong, seconds))
    return found


@contextlib.contextmanager
def _upstream(command: Path, folder: Path) -> Iterator[str]:
    """Run a Kong whose nginx has a server of its own; give that server's URL."""
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
def _subject(command: Path, name: str, folder: Path, upstream: str, collector: str) -> Iterator[Kong]:
    prefix = folder / re.sub(r"\W+", "-", name)
    prefix.mkdir()
    declaration = {
        "_format_version": "3.0",
        "services": [{"name": "answering", "url": upstream, "routes": [{"name": "all", "paths": ["/"]}]}],
        "plugins": _plugins(name, upstream, collector),
    }
    settings = {"tracing_instrumentations": "all", "tracing_sampling_rate": 1} if name == OPENTELEMETRY else {}
    kind = SUBJECTS[name]
    with contextlib.ExitStack() as stack:
        if kind == "stock":
            stack.enter_context(_sidecar(prefix / "sidecar.sock"))
        server = _commands(kind, prefix) if kind else None
        yield stack.enter_context(Kong(command, prefix, declaration, server, settings))


def _plugins(name: str, upstream: str, collector: str) -> list[dict[str, Any]]:
    if name == OPENTELEMETRY:
        return [{"name": "opentelemetry", "config": {"traces_endpoint": f"{upstream}/v1/traces"}}]
    if name == ZIPKIN:
        return [{"name": "zipkin", "config": {"http_endpoint": f"{upstream}/api/v2/spans", "sample_ratio": 1}}]
    if SUBJECTS[name]:
        return [{"name": PLUGIN, "config": {"endpoint": collector, "sampling": {"rate": 1}}}]
    return []


def _commands(kind: str, prefix: Path) -> Commands:
    if kind == "stock":
        script = str(Path(sys.executable).with_name("kong-python-pluginserver"))
        return Commands([script, "-d", str(plugin_folder()), "--dump-all-plugins"], stock_command(prefix))
    quiet = ("--log-level", "error")
    address = ("--http", f"{HOST}:{free_port()}", "--workers", "1")
    serve = command_line("serve", "--kong-prefix", str(prefix), *address, *quiet)
    return Commands(command_line("dump", "--protocol", kind, *quiet), serve)


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
    said = _wrk(kong.port, seconds)
    requests = int(_find(r"(\d+) requests in", said))
    return Measurement(
        requests_per_second=float(_find(r"Requests/sec:\s+([\d.]+)", said)),
        p50_ms=_latency("50%", said),
        p99_ms=_latency("99%", said),
        nginx_us=nginx.microseconds(requests),
        server_us=server.microseconds(requests),
        sidecar_us=sidecar.microseconds(requests),
        failed=sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", said)),
    )


def _wrk(port: int, seconds: float) -> str:
    duration = f"{max(1, round(seconds))}s"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{duration}", "--latency", f"http://{HOST}:{port}/orders"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text
    return match[1]


def _latency(share: str, text: str) -> float:
    number, unit = re.search(rf"{share}\s+([\d.]+)(\w+)", text).groups()  # type: ignore[union-attr]  # wrk prints it
    return float(number) * _MILLISECONDS[unit]
