"""`Dockerfile.kong`, built on a double of Kong's image: its content, its user, and a first trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
import yaml

from checkout import CHECKOUT
from e2e.client import Caller, fetch
from e2e.ports import HOST, accepts, free_port
from e2e.processes import Process, descendants
from e2e.spans import SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing_devtools.demo.declaration import localise
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink
from ship.containers import Container, Image

COMMAND = "/usr/local/otlp-tracing/bin/otlp-tracing"
PREFIX = "/usr/local/kong"
MEMORY = ("/tmp",)  # noqa: S108  # a place in the container
ADDED_MB = 113  # Debian's Python, the locked dependencies and the package; 112 when docs/install.md said so


@pytest.fixture(scope="module")
def sink() -> Iterator[ThreadedOtlpSink]:
    """Give an OTLP receiver."""
    with ThreadedOtlpSink() as running:
        yield running


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    """Give an upstream service."""
    with RecordingUpstream() as running:
        yield running


class Gateway(Container):
    """A container of the Kong image that serves the shipped kong.yml."""

    proxy: int
    sidecar: int


@pytest.fixture
def gateway(kong_image: Image, tmp_path: Path, sink: ThreadedOtlpSink, upstream: RecordingUpstream) -> Gateway:
    """Give a gateway, not yet started: nothing is set but addresses."""
    shipped = yaml.safe_load((CHECKOUT / "kong" / "kong.yml").read_text())
    here = f"{HOST}:{upstream.port}"
    addresses = {
        "user-service:8080": here,
        "order-service:8080": here,
        "otel-collector:4317": sink.sink.endpoint.removeprefix("http://"),
    }
    declaration = tmp_path / "kong.yml"
    declaration.write_text(yaml.safe_dump(localise(shipped, addresses)))
    declaration.chmod(0o644)
    proxy, status, sidecar = free_port(), free_port(), free_port()
    container = Gateway(
        kong_image,
        tmp_path / "log",
        environment={
            "KONG_DATABASE": "off",
            "KONG_DECLARATIVE_CONFIG": "/kong/kong.yml",
            "KONG_PROXY_LISTEN": f"{HOST}:{proxy}",
            "KONG_STATUS_LISTEN": f"{HOST}:{status}",
            "KONG_NGINX_WORKER_PROCESSES": "1",
            "OTLP_TRACING_HTTP": f"{HOST}:{sidecar}",
        },
        volumes={"/kong/kong.yml": declaration},
    )
    container.proxy, container.sidecar = proxy, sidecar
    return container


def roles(container: Container) -> dict[str, list[Process]]:
    """Return the plugin server's processes in a container, by role."""
    found: dict[str, list[Process]] = {}
    for process in descendants(container.main):
        if process.role:
            found.setdefault(process.role, []).append(process)
    return found


def the_one(container: Container, role: str) -> Process | None:
    """Return the process of a role if there is one of it; a process that forks looks like two."""
    found = roles(container).get(role, [])
    return found[0] if len(found) == 1 else None


def test_the_image_adds_little(kong_image: Image, base_image: Image) -> None:
    """The size that the image adds to Kong's stays within its bound."""
    added = (kong_image.size_bytes() - base_image.size_bytes()) / 1e6
    print(f"the image adds {added:.0f} MB")

    assert 20 < added < ADDED_MB


def test_the_images_hold_the_product_alone(kong_image: Image, sidecar_image: Image) -> None:
    """Neither image has pip, a compiler, the sources, or the development tools."""
    for image in (kong_image, sidecar_image):
        assert not (image.root / "src").exists()
        for name in ("usr/local/otlp-tracing/bin/pip", "usr/bin/gcc", "usr/bin/pip3"):
            assert not (image.root / name).exists(), name
        assert not [*image.root.glob("usr/local/otlp-tracing/**/*devtools*")]


def test_the_images_run_as_kongs_user(kong_image: Image, sidecar_image: Image, base_image: Image) -> None:
    """Neither image starts as root; Kong's starts as the user that Kong's own does."""
    assert kong_image.config["User"] == base_image.config["User"] == "kong"
    assert sidecar_image.config["User"] == "1000"


def test_kongs_image_keeps_its_ways(kong_image: Image) -> None:
    """Command and stop signal are those of Kong's image; it has a health check."""
    assert kong_image.config["Cmd"] == ["kong", "docker-start"]
    assert kong_image.config["StopSignal"] == "SIGQUIT"
    assert kong_image.config["Healthcheck"]["Test"] == ["CMD", "/otlp-tracing-health.sh"]


def test_the_plugin_describes_itself(kong_image: Image, tmp_path: Path) -> None:
    """The query command writes the plugin's description, alone, as Kong's user."""
    query = kong_image.environment["KONG_PLUGINSERVER_OTLP_TRACING_QUERY_CMD"].split()
    with Container(kong_image, tmp_path / "log", command=query) as container:
        assert container.wait(30) == 0

        (description,) = json.loads(container.output())
    assert description["Name"] == "otlp-tracing"


def test_the_first_request_is_traced(gateway: Gateway, sink: ThreadedOtlpSink) -> None:
    """With `FROM`, a kong.yml and nothing more, the very first request is served and traced: no request comes too
    early.
    """
    with gateway:
        wait_for(lambda: accepts((HOST, gateway.proxy)), 60, "the proxy listens")
        caller = Caller.new()

        assert fetch(f"http://{HOST}:{gateway.proxy}", "/api/users/1", [caller.header()]).status == 200
        assert wait_for_trace(SinkReader(sink), caller.trace_id, 2)


def test_it_becomes_healthy(gateway: Gateway) -> None:
    """The health check passes when the gateway serves, and fails where no plugin server answers."""
    with gateway:
        wait_for(lambda: gateway.execute("/otlp-tracing-health.sh").returncode == 0, 60, "it is healthy")
        elsewhere = gateway.execute("env", "KONG_PREFIX=/nowhere", "/otlp-tracing-health.sh")

        assert elsewhere.returncode == 1
        assert "no answer from the plugin-server" in elsewhere.stderr


def test_a_killed_plugin_server_costs_no_request(gateway: Gateway, sink: ThreadedOtlpSink) -> None:
    """Kong does not start it. Killed as a whole under load it is started again, every request is served, and later
    ones are traced; killed alone, its supervisor is replaced while its workers serve.
    """
    answers: list[int] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            answers.append(fetch(f"http://{HOST}:{gateway.proxy}", "/api/users/1").status)

    with gateway:
        wait_for(lambda: accepts((HOST, gateway.proxy)), 60, "the proxy listens")
        assert fetch(f"http://{HOST}:{gateway.proxy}", "/api/users/1").status == 200
        load = threading.Thread(target=send)
        load.start()
        try:
            kill_and_wait(gateway, {"serve", "worker", "sidecar"})
            kill_and_wait(gateway, {"serve"})
            wait_for(lambda: len(answers) > 100, 60, "the load goes on")
        finally:
            stop.set()
            load.join()
        caller = Caller.new()
        fetch(f"http://{HOST}:{gateway.proxy}", "/api/users/1", [caller.header()])

        assert wait_for_trace(SinkReader(sink), caller.trace_id, 2)
        assert set(answers) == {200}
        assert gateway.output().count("plugin server ended with 137") == 2
        assert "making room" not in gateway.output().split("plugin server ended")[0]


def kill_and_wait(container: Container, killed: Collection[str]) -> None:
    """Kill the processes of these roles, and wait for a new supervisor with a worker."""
    before = wait_for(lambda: the_one(container, "serve"), 30, "one group")
    assert before
    for role, processes in roles(container).items():
        for process in processes if role in killed else ():
            os.kill(process.pid, signal.SIGKILL)

    def is_replaced() -> bool:
        serve = the_one(container, "serve")
        workers = roles(container).get("worker", ())
        return serve is not None and serve.pid != before.pid and any(one.parent == serve.pid for one in workers)

    wait_for(is_replaced, 30, "a new group")


def test_a_start_command_of_the_operators_takes_over(gateway: Gateway, sink: ThreadedOtlpSink) -> None:
    """The group that was there first makes room for the one that Kong starts, and is not started again.

    Variables of OpenTelemetry and ours come through to it, nothing else does.
    """
    start = {"KONG_PLUGINSERVER_OTLP_TRACING_START_CMD": f"{COMMAND} serve"}
    gateway.environment = {**gateway.environment, **start, "OTEL_SERVICE_NAME": "edge", "OTHER": "kept away"}
    with gateway:
        wait_for(lambda: "making room" in gateway.output(), 60, "the first group retires")
        serve = wait_for(lambda: the_one(gateway, "serve"), 30, "one group is left")
        assert serve
        environment = Path(f"/proc/{serve.pid}/environ").read_bytes().decode().split("\0")
        caller = Caller.new()
        fetch(f"http://{HOST}:{gateway.proxy}", "/api/users/1", [caller.header()])

        assert wait_for_trace(SinkReader(sink), caller.trace_id, 2)
        # Its sidecar waits for the port of the one before.
        wait_for(lambda: accepts((HOST, gateway.sidecar)), 30, "the new sidecar has the port")
        assert fetch(f"http://{HOST}:{gateway.sidecar}", "/healthz").status == 200
        assert the_one(gateway, "serve") == serve

    assert "OTEL_SERVICE_NAME=edge" in environment
    assert f"OTLP_TRACING_HTTP={HOST}:{gateway.sidecar}" in environment
    assert not [line for line in environment if line.startswith("OTHER")]


def test_nothing_on_the_first_day_costs_a_span(gateway: Gateway, sink: ThreadedOtlpSink, tmp_path: Path) -> None:
    """As any user of group 0, with a read-only volume, a taken port and no secret, requests are served and traced.

    The container's output has each reason at Kong's default log level.
    """
    volume = tmp_path / "spans"
    volume.mkdir()
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "POD_NAMESPACE": "gateways", "NODE_NAME": "n1", "HOSTNAME": "kong-7"}
    wrong = {"OTLP_HEADER_FILE": "/nowhere", "OTLP_TRACING_WORKERS": "2x", "KONG_VERSION": "3.9.3"}
    gateway.user = "12345:0"
    gateway.environment = {**gateway.environment, **pod, **wrong}
    gateway.volumes = {**gateway.volumes, "/usr/local/kong/otlp-tracing": volume}
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "ro,mode=0777", "tmpfs", str(volume)], check=True)
    try:
        with socket.create_server((HOST, gateway.sidecar)) as other, gateway:
            wait_for(lambda: accepts((HOST, gateway.proxy)), 60, "the proxy listens")
            caller = Caller.new()
            assert fetch(f"http://{HOST}:{gateway.proxy}", "/api/users/1", [caller.header()]).status == 200
            resource = wait_for_trace(SinkReader(sink), caller.trace_id, 2)[0].resource
            for text in ("is on a read-only file system", "OTLP_TRACING_WORKERS = 2x", "OTLP_HEADER_FILE = /nowhere"):
                wait_for(lambda: text in gateway.output(), 30, text)  # noqa: B023
            wait_for(
                lambda: "is taken by another process; name another with --http" in gateway.output(), 30, "the port"
            )
            other.close()
            wait_for(lambda: accepts((HOST, gateway.sidecar)), 30, "the page has its port")
            status = gateway.execute(COMMAND, "status", "--http", f"{HOST}:{gateway.sidecar}")
            refused = fetch(f"http://{HOST}:{gateway.sidecar}", "/metrics").text()
            assert gateway.execute("/otlp-tracing-health.sh").returncode == 0
    finally:
        subprocess.run(["/bin/umount", str(volume)], check=True)

    assert status.returncode == 1
    assert "is on a read-only file system; mount it writable" in status.stdout
    assert 'otlp_tracing_options_refused_total{option="OTLP_TRACING_WORKERS"}' in refused
    expected = {"k8s.namespace.name": "gateways", "k8s.node.name": "n1", "kong.version": "3.9.3"}
    assert expected.items() <= resource.items()


def test_it_stops_with_kong(gateway: Gateway) -> None:
    """When the gateway is told to end, nothing of the plugin server stays behind."""
    with gateway:
        wait_for(lambda: accepts((HOST, gateway.proxy)), 60, "the proxy listens")
        gateway.signal(signal.SIGQUIT)

        assert gateway.wait(20) == 0


def test_the_root_may_be_read_only(gateway: Gateway, sink: ThreadedOtlpSink) -> None:
    """With a read-only root, a prefix in memory and any user's id it serves and traces."""
    gateway.read_only = True
    gateway.tmpfs = (*gateway.tmpfs, "/kong_prefix")
    gateway.user = "12345"
    gateway.environment = {**gateway.environment, "KONG_PREFIX": "/kong_prefix"}
    with gateway:
        wait_for(lambda: accepts((HOST, gateway.proxy)), 60, "the proxy listens")
        caller = Caller.new()
        fetch(f"http://{HOST}:{gateway.proxy}", "/api/users/1", [caller.header()])

        assert wait_for_trace(SinkReader(sink), caller.trace_id, 2)


def test_other_commands_are_kongs(kong_image: Image, tmp_path: Path) -> None:
    """Whatever is not `kong docker-start` runs as in Kong's image, without a plugin server."""
    command = [*kong_image.config["Entrypoint"], "sh", "-c", "echo hello; ls /proc | grep -c '^[0-9]'"]
    with Container(kong_image, tmp_path / "log", command=command) as container:
        assert container.wait(30) == 0
        assert container.output().startswith("hello")


def test_the_conformance_tests_pass_inside(kong_image: Image, tmp_path: Path) -> None:
    """The installed package passes the conformance tests, in the image, as its user, on its Python."""
    # pytest comes from the checkout's venv, behind everything that the image has itself. The recordings are read with
    # the messages of the stand-in Kong, which the base image has.
    packages = next((CHECKOUT / ".venv" / "lib").glob("python3*/site-packages"))
    start = (
        "import sys; sys.path += ['/opt/stand-in-kong', '/packages']; import pytest; "
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-W', 'ignore::DeprecationWarning', "
        "'-c', '/checkout/pyproject.toml', '--rootdir=/checkout', '--timeout=0', '/checkout/tests/conformance']))"
    )
    python = str(Path(COMMAND).with_name("python"))
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    volumes = {"/packages": packages}
    for name in ("tests", "pyproject.toml", "docs", "kong", "plugins"):
        volumes[f"/checkout/{name}"] = CHECKOUT / name
    with Container(kong_image, tmp_path / "log", command=[python, "-Bc", start], volumes=volumes) as container:
        code = container.wait(300)
        print(container.output().splitlines()[-1])

        assert code == 0, container.output()[-4000:]


def test_a_stock_kong_is_traced_by_a_container_beside_it(
    kong_image: Image, server_image: Image, gateway: Gateway, tmp_path: Path, sink: ThreadedOtlpSink
) -> None:
    """Kong without our entrypoint has a text file and a socket in a shared volume; both containers are one user's."""
    shared = tmp_path / "shared"
    shared.mkdir()
    uid, gid = kong_image.ids("kong")
    os.chown(shared, uid, gid)
    port = free_port()
    server = Container(
        server_image,
        tmp_path / "server.log",
        environment={"OTLP_TRACING_HTTP": f"{HOST}:{port}", "OTLP_TRACING_SPOOL": "none"},
        volumes={"/run/otlp-tracing": shared},
        tmpfs=MEMORY,
        user=str(uid),
        read_only=True,
    )
    compose = (CHECKOUT / "kong" / "compose.stock.yml").read_text().replace("!reset", "").replace("!override", "")
    stock = yaml.safe_load(compose)["services"]["kong"]["environment"]
    # The stand-in Kong runs with the Python of our image, and with nothing else of it.
    gateway.command = ["/docker-entrypoint.sh", "kong", "docker-start"]
    gateway.tmpfs = MEMORY
    gateway.volumes = {**gateway.volumes, "/run/otlp-tracing": shared}
    gateway.environment = {**gateway.environment, **stock, "KONG_PREFIX": PREFIX, "KONG_NGINX_MAIN_ENV": ""}
    with server:
        wait_for(lambda: server.execute(COMMAND, "probe").returncode == 0, 60, "the server is healthy")
        with gateway:
            wait_for(lambda: accepts((HOST, gateway.proxy)), 60, "the proxy listens")
            caller = Caller.new()
            fetch(f"http://{HOST}:{gateway.proxy}", "/api/users/1", [caller.header()])

            assert wait_for_trace(SinkReader(sink), caller.trace_id, 2)
            assert "serve" not in roles(gateway)


def test_the_sidecar_alone_takes_records(
    kong_image: Image, sidecar_image: Image, gateway: Gateway, tmp_path: Path, sink: ThreadedOtlpSink
) -> None:
    """A gateway and a sidecar in containers of their own, with a volume for the socket, make a trace."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    uid = str(kong_image.ids("kong")[0])
    socket = "/run/otlp-tracing/private/sidecar.sock"
    port = free_port()
    sidecar = Container(
        sidecar_image,
        tmp_path / "sidecar.log",
        environment={"OTLP_TRACING_LISTEN": socket, "OTLP_TRACING_HTTP": f"{HOST}:{port}"},
        volumes={"/run/otlp-tracing": shared},
        tmpfs=MEMORY,
        user=uid,
        read_only=True,
    )
    gateway.volumes = {**gateway.volumes, "/run/otlp-tracing": shared}
    gateway.tmpfs = MEMORY
    gateway.environment = {**gateway.environment, "OTLP_TRACING_SIDECAR": socket}
    with sidecar, gateway:
        wait_for(lambda: sidecar.execute(COMMAND, "probe", "sidecar").returncode == 0, 60, "the sidecar is healthy")
        wait_for(lambda: accepts((HOST, gateway.proxy)), 60, "the proxy listens")
        caller = Caller.new()
        fetch(f"http://{HOST}:{gateway.proxy}", "/api/users/1", [caller.header()])

        assert wait_for_trace(SinkReader(sink), caller.trace_id, 2)
        assert "sidecar" not in roles(gateway)
