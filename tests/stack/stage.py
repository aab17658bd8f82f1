"""The whole stack on this machine: gateway, services, Collector, Jaeger, Prometheus, Alertmanager.

The shipped files of kong/ configure all of it, with local addresses. A double replaces Zipkin, which no package here
contains. It keeps all received spans.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml

from e2e.client import fetch
from e2e.gateways import RunningGateway
from e2e.ports import HOST, accepts, free_port
from e2e.waiting import wait_for
from otlp_tracing_devtools.demo.declaration import localise
from stack import programs, shipped
from stack.programs import Program

PARTS = (
    "jaeger:4317", "jaeger:16686",
    "otel-collector:4317", "otel-collector:4318", "otel-collector:8888", "otel-collector:8889", "otel-collector:13133",
    "prometheus:9090", "alertmanager:9093",
    "user-service:8080", "order-service:8080", "order-service:9090",
)  # fmt: skip
"""The listeners, by the addresses that the shipped files have for them."""

_START_SECONDS = 60.0

StartGateway = Callable[[dict[str, Any]], contextlib.AbstractContextManager[RunningGateway]]


class ZipkinDouble:
    """Accepts spans of a Zipkin exporter: POST /api/v2/spans, JSON. A double. Use it with `with`."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.spans += json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)

    @property
    def url(self) -> str:
        """URL for spans."""
        return f"http://{HOST}:{self._server.server_address[1]}/api/v2/spans"

    def __enter__(self) -> ZipkinDouble:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Stage:
    """The running programs.

    Args:
        gateway: the stand-in or Kong.
        zipkin: the collector's second destination, beside Jaeger.
        addresses: `host:port` as shipped to `host:port` here.
        collector_log: with every log record that the collector received.
    """

    gateway: RunningGateway
    zipkin: ZipkinDouble
    addresses: dict[str, str]
    collector_log: Path

    def url(self, shipped_address: str) -> str:
        """Return the URL of a part, without a path."""
        return f"http://{self.addresses[shipped_address]}"

    def read(self, shipped_address: str, path: str) -> Any:
        """Get JSON from a part."""
        with urlopen(f"{self.url(shipped_address)}{path}", timeout=10) as answer:  # noqa: S310 - http, ours
            return json.load(answer)


@contextlib.contextmanager
def stage(folder: Path, start_gateway: StartGateway) -> Iterator[Stage]:
    """Run everything until the block ends.

    Args:
        folder: an empty one, for configurations, logs and data.
        start_gateway: runs a gateway with a declaration.

    Raises:
        ProgramMissing: a program is not here.
        WaitedInVain: a part does not come up; the message has its last words.
    """
    addresses = {part: f"{HOST}:{free_port()}" for part in PARTS}
    with contextlib.ExitStack() as stack:
        zipkin = stack.enter_context(ZipkinDouble())
        jaeger = Program(_jaeger(folder, addresses), folder / "jaeger.log")
        _start(stack, "jaeger", jaeger, addresses["jaeger:16686"])
        collector = Program(_collector(folder, addresses, zipkin), folder / "collector.log")
        _start(stack, "collector", collector, addresses["otel-collector:4317"])
        stack.enter_context(_services(addresses, folder))
        gateway = stack.enter_context(start_gateway(_declaration(addresses)))
        addresses["kong:8100"] = gateway.status_url.removeprefix("http://")
        addresses["kong:9464"] = gateway.sidecar_url.removeprefix("http://")
        alertmanager = Program(_alertmanager(folder, addresses), folder / "alertmanager.log")
        _start(stack, "alertmanager", alertmanager, addresses["alertmanager:9093"], "/-/ready")
        prometheus = Program(_prometheus(folder, addresses), folder / "prometheus.log")
        _start(stack, "prometheus", prometheus, addresses["prometheus:9090"], "/-/ready")
        yield Stage(gateway, zipkin, addresses, folder / "collector.log")


def _start(stack: contextlib.ExitStack, name: str, program: Program, address: str, ready: str | None = None) -> None:
    stack.enter_context(program)
    wait_until_up(program, name, address, ready)


def wait_until_up(program: Program, name: str, address: str, ready: str | None = None) -> None:
    """Wait until a program listens at `host:port` and, where it has a path for that, says that it is ready.

    Raises:
        WaitedInVain: it does not.
        AssertionError: it has ended; the message has its last words.
    """
    host, _, port = address.rpartition(":")

    def is_up() -> bool:
        if ready is None:
            return accepts((host, int(port)))
        try:
            return fetch(f"http://{address}", ready).status == 200
        except (OSError, IndexError):
            return False

    wait_for(lambda: is_up() or program.ended, _START_SECONDS, f"{name} is up at {address}")
    assert not program.ended, program.tail()


def _jaeger(folder: Path, addresses: dict[str, str]) -> list[str]:
    return [str(programs.jaeger()), "--config", f"file:{shipped.jaeger_configuration(folder, addresses)}"]


def _collector(folder: Path, addresses: dict[str, str], zipkin: ZipkinDouble) -> list[str]:
    files = [
        shipped.FOLDER / "collector" / "collector.yaml",
        shipped.FOLDER / "collector" / "zipkin.yaml",
        shipped.collector_overrides(folder, addresses, zipkin.url),
    ]
    return [str(programs.collector()), *(argument for file in files for argument in ("--config", f"file:{file}"))]


def _alertmanager(folder: Path, addresses: dict[str, str]) -> list[str]:
    return [
        str(programs.alertmanager()),
        f"--config.file={shipped.alertmanager_configuration(folder)}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={addresses['alertmanager:9093']}",
        "--cluster.listen-address=",
    ]


def _prometheus(folder: Path, addresses: dict[str, str]) -> list[str]:
    return [
        str(programs.prometheus()),
        f"--config.file={shipped.prometheus_files(folder, addresses)}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={addresses['prometheus:9090']}",
        "--enable-feature=exemplar-storage",
    ]


def _declaration(addresses: dict[str, str]) -> dict[str, Any]:
    shipped_file = yaml.safe_load((shipped.FOLDER / "kong.yml").read_text())
    return localise(shipped_file, addresses, traces_alone=False)


@contextlib.contextmanager
def _services(addresses: dict[str, str], folder: Path) -> Iterator[None]:
    """Run the example services until the block ends."""
    orders = [addresses["order-service:8080"], "--grpc", addresses["order-service:9090"]]
    users = [addresses["user-service:8080"], "--orders", addresses["order-service:9090"]]
    environment = {
        "PYTHONPATH": str(shipped.FOLDER.parent / "examples"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{addresses['otel-collector:4317']}",
    }
    with contextlib.ExitStack() as stack:
        for module, arguments in (("order_service", orders), ("user_service", users)):
            command = [sys.executable, "-m", f"shop.{module}", "--listen", *arguments]
            _start(stack, module, Program(command, folder / f"{module}.log", environment), arguments[0], "/readyz")
        yield
