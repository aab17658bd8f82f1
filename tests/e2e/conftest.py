"""Fixtures of the end-to-end tests: the chosen gateway, a collector, an OTLP receiver, an upstream.

`pytest tests/e2e` runs them on the stand-in Kong, `pytest tests/e2e --kong=PATH` on the Kong with that `kong`
command, under the same assertions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from e2e.collectors import Collector, CollectorMissing, collector_binary
from e2e.gateways import PluginServer, RealKong, RunningGateway, StandIn
from e2e.spans import SinkReader
from e2e.upstreams import RecordingUpstream
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

StartGateway = Callable[..., contextlib.AbstractContextManager[RunningGateway]]

_running: list[RunningGateway] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --kong, --kong-version, --protocol, --hand-over and --outage-seconds."""
    parser.addoption(
        "--kong-version", choices=["3.4", "3.9"], default="3.9", help="of the Kong that the stand-in plays"
    )
    parser.addoption("--kong", type=Path, metavar="PATH", help="run the end-to-end tests on this `kong` command")
    parser.addoption(
        "--protocol", choices=["msgpack", "protobuf"], default="msgpack", help="what Kong and the plugin server speak"
    )
    parser.addoption(
        "--hand-over", choices=["plugin", "kong"], default="plugin", help="how log records reach the sidecar"
    )
    parser.addoption(
        "--outage-seconds", type=float, default=3.0, metavar="S", help="how long the collector is away in its test"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the test of an outage its time beside the limit of every test."""
    for item in items:
        if item.path.name == "test_outage.py":
            limit = float(config.getini("timeout")) + 2 * config.getoption("--outage-seconds")
            item.add_marker(pytest.mark.timeout(limit))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of every running gateway's log with a failure."""
    report = yield
    if report.failed and item.path.is_relative_to(Path(__file__).parent):
        report.sections += [(f"log of the gateway in {gateway.prefix}", gateway.tail()) for gateway in _running]
    return report


@pytest.fixture(scope="session")
def start_gateway(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> StartGateway:
    """Give a context manager that runs a gateway: `start_gateway(declaration, server=…, environment=…)`."""
    kong = pytestconfig.getoption("--kong")
    PluginServer.protocol = pytestconfig.getoption("--protocol")
    PluginServer.hand_over = pytestconfig.getoption("--hand-over")
    major, minor = pytestconfig.getoption("--kong-version").split(".")
    StandIn.version = int(major), int(minor)
    if kong is not None:
        if not kong.is_file():
            pytest.exit(f"--kong: there is no {kong}", returncode=pytest.ExitCode.USAGE_ERROR)
        RealKong.use(kong.resolve())

    @contextlib.contextmanager
    def start(
        declaration: Mapping[str, Any],
        server: Callable[[Path], PluginServer] = PluginServer.ours,
        environment: Mapping[str, str] | None = None,
        neighbour: tuple[str, Path] | None = None,
    ) -> Iterator[RunningGateway]:
        folder = tmp_path_factory.mktemp("gateway")
        with (RealKong if kong else StandIn)(folder, declaration, server, environment, neighbour) as gateway:
            _running.append(gateway)
            try:
                yield gateway
            finally:
                _running.remove(gateway)

    return start


@pytest.fixture(scope="session")
def on_kong(pytestconfig: pytest.Config) -> bool:
    """Tell whether these tests run on a real Kong."""
    return pytestconfig.getoption("--kong") is not None


@pytest.fixture(scope="session")
def upstream() -> Iterator[RecordingUpstream]:
    """Give an upstream service."""
    with RecordingUpstream() as running:
        yield running


@pytest.fixture(scope="session")
def start_collector(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Collector]:
    """Give a function that makes a collector, not yet started."""
    try:
        binary = collector_binary()
    except CollectorMissing as reason:
        pytest.skip(f"no OpenTelemetry Collector: {reason}")
    return lambda: Collector(binary, tmp_path_factory.mktemp("collector"))


@pytest.fixture(scope="module")
def collector(start_collector: Callable[[], Collector]) -> Iterator[Collector]:
    """Give a running collector."""
    with start_collector() as running:
        yield running


@pytest.fixture(scope="module")
def sink() -> Iterator[ThreadedOtlpSink]:
    """Give an OTLP receiver in this process, for facts that a collector does not show."""
    with ThreadedOtlpSink() as running:
        yield running


@pytest.fixture(scope="module")
def spans_at_sink(sink: ThreadedOtlpSink) -> SinkReader:
    """Give the sink as a source of spans."""
    return SinkReader(sink)
