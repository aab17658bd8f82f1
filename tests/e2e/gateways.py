"""The gateway under test: the stand-in or a real Kong, behind one small interface.

Both get the same declarative configuration and the same commands for the plugin server, and start the
plugin server themselves.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import yaml

from e2e.client import Answer, HeaderLines, fetch
from e2e.kong_process import NAME, KongProcess, plugin_server_settings
from e2e.ports import HOST, accepts, free_port
from e2e.processes import alive, descendants, plugin_server_processes
from e2e.waiting import wait_for
from otlp_tracing.paths import command_line

_START_SECONDS = 40.0  # several Python processes and Kong, on a machine that may be busy
_STOP_SECONDS = 30.0
_LOG_LINES = 60
_HTTP2_BESIDE_HTTP1 = (3, 6)  # nginx 1.25; before, a clear-text listener with http2 takes no HTTP/1.1
_PROBE_PATH = "/is-the-plugin-up"
_PROBE_HEADER = "x-probe-trace-id"


@dataclass(frozen=True)
class PluginServer:
    """The commands of a plugin server, as kong.conf has them.

    Args:
        query: prints the description.
        start: serves PREFIX/otlp-tracing.socket; empty if Kong does not start it.
        http_port: of its sidecar.
        http_log: the plugin entry by which Kong's own queue brings records to the sidecar; None if it does not.
        socket: path in PREFIX. Kong 3.4 removes sockets directly in its prefix when it starts.
    """

    query: Sequence[str]
    start: Sequence[str]
    http_port: int
    http_log: Mapping[str, Any] | None = None
    socket: str = f"{NAME}.socket"

    protocol: ClassVar[str] = "msgpack"
    """Of `ours`; the option --protocol."""
    hand_over: ClassVar[str] = "plugin"
    """Of `ours`; the option --hand-over."""

    @classmethod
    def ours(cls, prefix: Path) -> PluginServer:
        """Return `otlp-tracing serve`."""
        port = free_port()
        # Kong's log has none of its lines at Kong's default level.
        log = ("--log-file", str(log_of(prefix)))
        serve = command_line("serve", "--kong-prefix", str(prefix), "--http", f"{HOST}:{port}", *log)
        if cls.hand_over == "kong":
            return cls.with_kongs_queue(serve, port, prefix, cls.protocol)
        return cls(command_line("dump", "--protocol", cls.protocol), serve, port)

    @classmethod
    def with_kongs_queue(cls, serve: Sequence[str], port: int, prefix: Path, protocol: str) -> PluginServer:
        """Return a server whose plugin leaves the hand-over to a global http-log."""
        ingest, token = free_port(), prefix / "ingest-token"
        token.write_text("0123456789abcdef")
        http_log = {
            "name": "http-log",
            "config": {
                "http_endpoint": f"http://{HOST}:{ingest}/otlp-tracing/records",
                "headers": {"X-OTLP-Tracing-Token": "0123456789abcdef"},
                # As docs/hand-over.md has it, but for the delay.
                "queue": {
                    "max_batch_size": 200,
                    "max_coalescing_delay": 0.1,
                    "max_entries": 100_000,
                    "max_bytes": 32 << 20,
                    "max_retry_time": 600,
                    "max_retry_delay": 1,
                },
            },
        }
        return cls(
            command_line("dump", "--protocol", protocol, "--hand-over", "kong"),
            [*serve, "--ingest-http", f"{HOST}:{ingest}", "--ingest-token-file", str(token)],
            port,
            http_log,
        )


def log_of(prefix: Path) -> Path:
    """Return the file with the log of our plugin server."""
    return prefix.parent / "otlp-tracing.log"


@dataclass(frozen=True)
class Neighbour:
    """Another plugin server on the same gateway, Kong's own for Python.

    Args:
        name: of the server and of its socket.
        plugins: folder of its plugins; the first one has the server's name.
        prefix: Kong's.
    """

    name: str
    plugins: Path
    prefix: Path

    @property
    def commands(self) -> tuple[str, str, str]:
        """Name, query command and start command."""
        stock = [sys.executable, "-c", "from kong_pdk.cli import start_server; start_server()"]
        folder = ["--plugins-directory", str(self.plugins)]
        start = [*stock, *folder, "--kong-prefix", str(self.prefix), "--socket-name", f"{self.name}.socket"]
        return self.name, shlex.join([*stock, *folder, "--dump-all-plugins"]), shlex.join(start)


class RunningGateway(ABC):
    """A gateway that is up, with its plugin server. Use it with `with`.

    Args:
        folder: an empty one, for all it writes.
        declaration: the content of its kong.yml.
        server: makes the plugin server's commands, given Kong's prefix.
        environment: added to the gateway's.
        neighbour: name and plugin folder of another plugin server.
    """

    is_kong: bool
    version: tuple[int, int]
    """Of Kong, or of the Kong that the stand-in plays."""

    def __init__(
        self,
        folder: Path,
        declaration: Mapping[str, Any],
        server: Callable[[Path], PluginServer] = PluginServer.ours,
        environment: Mapping[str, str] | None = None,
        neighbour: tuple[str, Path] | None = None,
    ) -> None:
        self.prefix = folder / "prefix"
        self.prefix.mkdir()
        self.neighbour = Neighbour(*neighbour, self.prefix) if neighbour else None
        self.server = server(self.prefix)
        self._kong_yml = folder / "kong.yml"
        content = _with_probe(declaration)
        if self.server.http_log is not None:
            content["plugins"] = [*content.get("plugins", ()), self.server.http_log]
        self._kong_yml.write_text(yaml.dump(content, Dumper=_PlainYaml, allow_unicode=True))
        self._port, self._status_port = free_port(), free_port()
        self._http2_port = self._port
        self._environment = {**_own_environment(), **(environment or {})}
        self.start()

    @property
    def url(self) -> str:
        """The proxy."""
        return f"http://{HOST}:{self._port}"

    @property
    def http2_url(self) -> str:
        """The proxy, for clients that speak HTTP/2 without TLS; a listener of its own where Kong needs that."""
        return f"http://{HOST}:{self._http2_port}"

    @property
    def status_url(self) -> str:
        """The gateway's own /status and /metrics."""
        return f"http://{HOST}:{self._status_port}"

    @property
    def sidecar_url(self) -> str:
        """The sidecar's /healthz, /readyz and /metrics."""
        return f"http://{HOST}:{self.server.http_port}"

    @abstractmethod
    def start(self) -> None:
        """Start it, with its plugin server, and wait until both answer."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it and wait until it is gone; may be called twice."""

    def log(self) -> str:
        """Return its log, and that of our plugin server."""
        file = log_of(self.prefix)
        return self.own_log() + (file.read_text(errors="replace") if file.exists() else "")

    @abstractmethod
    def own_log(self) -> str:
        """Return the gateway's own log."""

    @abstractmethod
    def second_worker(self) -> contextlib.AbstractContextManager[str]:
        """Give the URL of a second worker with the same configuration, before the same plugin server."""

    def processes(self) -> dict[str, list[int]]:
        """Return the pids of the plugin server's processes, by role."""
        return plugin_server_processes(self.prefix)

    def get(self, target: str | bytes, headers: HeaderLines = ()) -> Answer:
        """Send a request through it."""
        return fetch(self.url, target, headers)

    def tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log().splitlines()[-_LOG_LINES:])

    def __enter__(self) -> RunningGateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_up(self, status_path: str) -> None:
        own = str(self.prefix / self.server.socket)
        wait_for(lambda: accepts(own), _START_SECONDS, f"{own} accepts")
        if self.neighbour is not None:
            other = str(self.prefix / f"{self.neighbour.name}.socket")
            wait_for(lambda: accepts(other), _START_SECONDS, f"{other} accepts")
        wait_for(lambda: self._answers(self._status_port, status_path, 200), _START_SECONDS, "the status listener")
        wait_for(lambda: self._answers(self.server.http_port, "/readyz", 200), _START_SECONDS, "the sidecar")
        wait_for(lambda: self._runs_plugin(self._port), _START_SECONDS, "the proxy, with the plugin")

    @staticmethod
    def _answers(port: int, path: str, status: int) -> bool:
        try:
            return fetch(f"http://{HOST}:{port}", path).status == status
        except (OSError, IndexError):
            return False

    @staticmethod
    def _runs_plugin(port: int) -> bool:
        """Tell by the trace id in the answer; a Kong 3.4 answers before it runs the plugin."""
        try:
            return _PROBE_HEADER in fetch(f"http://{HOST}:{port}", _PROBE_PATH).headers
        except (OSError, IndexError):
            return False


class _PlainYaml(yaml.SafeDumper):
    """Writes a part that is in two places twice: Kong reads no YAML aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Never refer to a part by name."""
        return True


class StandIn(RunningGateway):
    """`python -m otlp_tracing_devtools.fake_kong`, as a process of its own."""

    is_kong = False
    version = (3, 9)
    """Set by the option --kong-version."""
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with its plugin server, and wait until both answer."""
        command = [
            *(sys.executable, "-m", "otlp_tracing_devtools.fake_kong", str(self._kong_yml)),
            *("--listen", f"{HOST}:{self._port}", "--status-listen", f"{HOST}:{self._status_port}"),
            *("--prefix", str(self.prefix), "--plugin-server-name", NAME),
            *("--query-cmd", shlex.join(self.server.query), *self._start_command),
            *self._options,
        ]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )
        _stop_on_failure(self, lambda: self._wait_until_up("/status"))

    def stop(self) -> None:
        """Stop it and wait until it is gone; may be called twice."""
        if self._process is None:
            return
        family = descendants(self._process.pid)
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None
            _bury([process.pid for process in family])

    @contextlib.contextmanager
    def second_worker(self) -> Iterator[str]:
        """Run a second stand-in. The server gives every other pid to its other worker, so it tries for such a one."""
        assert self._process is not None
        port = free_port()
        socket = str(self.prefix / self.server.socket)
        command = [
            *(sys.executable, "-m", "otlp_tracing_devtools.fake_kong", str(self._kong_yml)),
            *("--listen", f"{HOST}:{port}", "--plugin-server-name", NAME, "--plugin-server-socket", socket),
            *("--query-cmd", shlex.join(self.server.query), *self._second_start, *self._options),
        ]
        with self._log_file.open("ab") as log:
            while True:
                second = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                if second.pid % 2 != self._process.pid % 2:
                    break
                second.kill()
                second.wait()
        try:
            wait_for(lambda: self._runs_plugin(port), _START_SECONDS, "the second stand-in")
            yield f"http://{HOST}:{port}"
        finally:
            second.terminate()
            second.wait(_STOP_SECONDS)

    def own_log(self) -> str:
        """Return the gateway's own log."""
        return self._log_file.read_text(errors="replace")

    @property
    def _options(self) -> Sequence[str]:
        version = ".".join(map(str, self.version))
        neighbour = self.neighbour
        also = () if neighbour is None else ("--also-server", *neighbour.commands)
        return "--kong", version, *also

    @property
    def _start_command(self) -> Sequence[str]:
        if self.server.start:
            return "--start-cmd", shlex.join(self.server.start)
        socket = ("--plugin-server-socket", str(self.prefix / self.server.socket))
        return *socket, *self._second_start

    @property
    def _second_start(self) -> Sequence[str]:
        # Kong 3.4 calls no plugin server that it did not start.
        return ("--start-cmd", "sleep infinity") if self.version < (3, 5) else ()

    @property
    def _log_file(self) -> Path:
        return self.prefix.parent / "stand-in.log"


class RealKong(RunningGateway):
    """A Kong Gateway without a database, with one nginx worker unless the environment says otherwise."""

    is_kong = True
    executable: Path
    """The `kong` command; set with `version` by the option --kong."""

    @classmethod
    def use(cls, executable: Path) -> None:
        """Run on this `kong` command from now on."""
        printed = subprocess.run([executable, "version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"\b(\d+)\.(\d+)\.\d", printed)
        assert found, f"{executable} version printed {printed!r}"
        cls.executable, cls.version = executable, (int(found[1]), int(found[2]))

    def start(self) -> None:
        """Start it, with its plugin server, and wait until both answer."""
        self.process = KongProcess(self.executable, self.prefix, self._settings(), self._environment)
        self._status_port = self.process.status_port
        self.process.start()
        self._master = self.process.master
        _stop_on_failure(self, lambda: self._wait_until_up("/status/ready"))

    def stop(self) -> None:
        """Stop it and wait until it is gone; may be called twice."""
        if alive(self._master):
            self.process.stop()

    @contextlib.contextmanager
    def second_worker(self) -> Iterator[str]:
        """Give nginx's own, at the same address; for a Kong with `KONG_NGINX_WORKER_PROCESSES=2`."""
        yield self.url

    def own_log(self) -> str:
        """Return the gateway's own log."""
        return self.process.log()

    @property
    def _start_command(self) -> Sequence[str]:
        # Kong 3.4 calls no plugin server that it did not start.
        return self.server.start or (("sleep", "infinity") if self.version < (3, 5) else ())

    def _settings(self) -> dict[str, object]:
        listen = f"{HOST}:{self._port} http2"
        if self.version < _HTTP2_BESIDE_HTTP1:
            self._http2_port = free_port()
            listen = f"{HOST}:{self._port}, {HOST}:{self._http2_port} http2"
        settings: dict[str, object] = {
            "declarative_config": self._kong_yml,
            "proxy_listen": listen,
            **plugin_server_settings(self.prefix / self.server.socket, self.server.query, self._start_command),
        }
        if self.neighbour is not None:
            name, query, start = self.neighbour.commands
            settings |= {
                "plugins": f"{settings['plugins']},{name}",
                "pluginserver_names": f"{NAME},{name}",
                f"pluginserver_{name}_socket": self.prefix / f"{name}.socket",
                f"pluginserver_{name}_query_cmd": query,
                f"pluginserver_{name}_start_cmd": start,
            }
        return settings


def _with_probe(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """Add a route that the gateway answers itself once the plugin has run; its requests are not sampled."""
    config = {
        "endpoint": f"http://{HOST}:4317",
        "sampling": {"rate": 0},
        "propagation": {"response_header": _PROBE_HEADER},
    }
    tracing = {"name": NAME, "config": config}
    probe = {
        "name": "probe",
        "url": f"http://{HOST}",
        "routes": [{"name": "probe", "paths": [_PROBE_PATH]}],
        "plugins": [tracing, {"name": "request-termination", "config": {"status_code": 204}}],
    }
    return {**declaration, "services": [*declaration["services"], probe]}


def _own_environment() -> dict[str, str]:
    """Return our environment without variables that configure Kong, tracing or another plugin server."""
    foreign = ("KONG_", "OTEL_", "OTLP_TRACING_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _stop_on_failure(gateway: RunningGateway, wait: Callable[[], None]) -> None:
    try:
        wait()
    except BaseException:
        print(gateway.tail(), file=sys.stderr)
        gateway.stop()
        raise


def _bury(pids: Sequence[int]) -> None:
    """Kill processes that should have ended by themselves; the test for that looks before."""
    for pid in pids:
        if alive(pid):
            os.kill(pid, 9)
