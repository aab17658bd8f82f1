"""The shipped files on a real Kong (--kong=…): with PostgreSQL and the Admin API, in hybrid mode, in the image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from checkout import CHECKOUT
from e2e.client import Caller, fetch
from e2e.ports import HOST, free_port
from e2e.spans import SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing_devtools.demo.declaration import localise
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink
from ship.containers import Container, Image
from ship.kong_nodes import KongNode, Postgres
from ship.tools import ToolMissing

SCRIPT = CHECKOUT / "kong" / "admin" / "enable-otlp-tracing.sh"


@dataclass(frozen=True)
class Around:
    """The programs around a Kong: a collector's double and an upstream."""

    sink: ThreadedOtlpSink
    upstream: RecordingUpstream

    @property
    def spans(self) -> SinkReader:
        """The spans that have arrived."""
        return SinkReader(self.sink)


@pytest.fixture(scope="module")
def around() -> Iterator[Around]:
    """Give a collector's double and an upstream."""
    with ThreadedOtlpSink() as sink, RecordingUpstream() as upstream:
        yield Around(sink, upstream)


@pytest.fixture(scope="module")
def postgres(real_kong: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Give a PostgreSQL that a real Kong has filled."""
    try:
        database = Postgres()
    except ToolMissing as reason:
        pytest.skip(str(reason))
    with database:
        KongNode(real_kong, tmp_path_factory.mktemp("migrations"), database.settings).migrate()
        yield database


def enable(run: Callable[..., str], node: KongNode, around: Around) -> str:
    """Run the script for a node's Admin API."""
    return run(
        SCRIPT,
        KONG_ADMIN_URL=f"http://{HOST}:{node.admin}",
        OTLP_ENDPOINT=around.sink.sink.endpoint,
        OTLP_HEADER="{vault://env/otlp-header}",
        USER_SERVICE_URL=around.upstream.url,
        ORDER_SERVICE_URL=around.upstream.url,
    )


def assert_traced(node: KongNode, around: Around) -> None:
    caller = Caller.new()
    wait_for(lambda: node.answers("/api/users/1", node.proxy), 60, "the route is there")

    assert fetch(f"http://{HOST}:{node.proxy}", "/api/users/1", [caller.header()]).status == 200
    server, client = wait_for_trace(around.spans, caller.trace_id, 2)
    assert server.name == "GET /api/users"
    assert server.parent_span_id == caller.span_id
    assert client.parent_span_id == server.span_id


def test_the_admin_api_enables_it(
    real_kong: Path,
    postgres: Postgres,
    tmp_path: Path,
    run: Callable[..., str],
    around: Around,
) -> None:
    """With PostgreSQL the script enables the plugin by the Admin API, twice if need be, and requests are traced."""
    with KongNode(real_kong, tmp_path, postgres.settings) as node:
        first = enable(run, node, around)
        second = enable(run, node, around)
        entries = fetch(f"http://{HOST}:{node.admin}", "/plugins").text()

        assert first == second
        assert entries.count('"name":"otlp-tracing"') == 2
        assert_traced(node, around)


def test_a_control_plane_needs_the_description_only(
    real_kong: Path,
    postgres: Postgres,
    tmp_path: Path,
    run: Callable[..., str],
    around: Around,
) -> None:
    """In hybrid mode the control plane runs no plugin server, takes the entry, and the data plane traces by it."""
    certificates = {"cluster_cert": tmp_path / "cluster.crt", "cluster_cert_key": tmp_path / "cluster.key"}
    cluster, telemetry = free_port(), free_port()
    control = KongNode(
        real_kong,
        tmp_path / "control",
        {
            **postgres.settings,
            **certificates,
            "role": "control_plane",
            "cluster_listen": f"{HOST}:{cluster}",
            "cluster_telemetry_listen": f"{HOST}:{telemetry}",
        },
        plugin_server=False,
    )
    control.run("hybrid", "gen_cert", str(certificates["cluster_cert"]), str(certificates["cluster_cert_key"]))
    data = KongNode(
        real_kong,
        tmp_path / "data",
        {
            **certificates,
            "role": "data_plane",
            "database": "off",
            "admin_listen": "off",
            "cluster_control_plane": f"{HOST}:{cluster}",
            "cluster_telemetry_endpoint": f"{HOST}:{telemetry}",
        },
    )
    with control, data:
        enable(run, control, around)

        assert_traced(data, around)
        assert not list(control.prefix.glob("**/otlp-tracing.socket"))
        assert list(data.prefix.glob("**/otlp-tracing.socket"))


def test_the_image_runs_on_a_real_kong(real_kong: Path, kong_image: Image, tmp_path: Path, around: Around) -> None:
    """The image with a real Kong in it serves kong.yml as Kong's user and traces from the first request.

    `GET /` of the Admin API, which decK and others ask, is answered by every nginx worker.
    """
    shipped = yaml.safe_load((CHECKOUT / "kong" / "kong.yml").read_text())
    here = f"{HOST}:{around.upstream.port}"
    collector = around.sink.sink.endpoint.removeprefix("http://")
    addresses = {"user-service:8080": here, "order-service:8080": here, "otel-collector:4317": collector}
    declaration = tmp_path / "kong.yml"
    declaration.write_text(yaml.safe_dump(localise(shipped, addresses)))
    proxy, status, sidecar, admin = free_port(), free_port(), free_port(), free_port()
    libraries = {f"/usr/lib/{os.uname().machine}-linux-gnu/{name}": path for name, path in kongs_libraries().items()}
    container = Container(
        kong_image,
        tmp_path / "log",
        environment={
            "KONG_DATABASE": "off",
            "KONG_DECLARATIVE_CONFIG": "/kong/kong.yml",
            "KONG_PROXY_LISTEN": f"{HOST}:{proxy}",
            "KONG_STATUS_LISTEN": f"{HOST}:{status}",
            "KONG_ADMIN_LISTEN": f"{HOST}:{admin} reuseport",
            "KONG_ADMIN_GUI_LISTEN": "off",
            "KONG_PROXY_ERROR_LOG": "/dev/stderr",
            "KONG_NGINX_WORKER_PROCESSES": "2",
            "OTLP_TRACING_HTTP": f"{HOST}:{sidecar}",
            "OTEL_SERVICE_NAME": "unused, kong.yml names it",
        },
        volumes={
            "/kong/kong.yml": declaration,
            "/usr/local/bin/kong": real_kong,
            str(real_kong.parents[1]): real_kong.parents[1],
            "/docker-entrypoint.sh": Path(__file__).with_name("real_kong_entrypoint.sh"),
            **libraries,
        },
    )
    with container:
        wait_for(lambda: container.execute("/otlp-tracing-health.sh").returncode == 0, 90, "it is healthy")
        caller = Caller.new()

        assert fetch(f"http://{HOST}:{proxy}", "/api/users/1", [caller.header()]).status == 200
        assert len(wait_for_trace(around.spans, caller.trace_id, 2)) == 2
        assert {fetch(f"http://{HOST}:{admin}", "/").status for _ in range(50)} == {200}
        again = Caller.new()
        assert fetch(f"http://{HOST}:{proxy}", "/api/orders/reports", [again.header()]).status == 401
        assert wait_for_trace(around.spans, again.trace_id, 1)


def kongs_libraries() -> dict[str, Path]:
    """Return libraries that a Kong built here may need and a bare Debian has not."""
    folder = Path(f"/usr/lib/{os.uname().machine}-linux-gnu")
    return {name: folder / name for name in ("libyaml-0.so.2", "libpcre.so.3", "libz.so") if (folder / name).exists()}
