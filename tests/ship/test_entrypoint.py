"""The images' entrypoints by themselves: what they read, and how the one keeps Kong and the plugin server."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from checkout import CHECKOUT
from e2e.processes import alive
from e2e.waiting import wait_for

ENTRYPOINT = CHECKOUT / "kong" / "image" / "entrypoint.sh"
SERVER_SCRIPT = ENTRYPOINT.with_name("server.sh")
# Each writes its start and its end. `exit` in the file `orders` lets the next plugin server end at once with that code.
SERVER = """#!/bin/bash
case $1 in
    probe) until grep -q server {calls}; do sleep 0.05; done 2>/dev/null; echo probed >>{calls}; exit 0 ;;
esac
code=$(cat {orders} 2>/dev/null) && exit "$code"
trap 'echo server ended >>{calls}; exit 0' TERM
echo "server $$" >>{calls}
sleep infinity &
wait $!
"""
KONG = """#!/bin/bash
for name in HUP USR1 WINCH; do trap "echo kong got $name >>{calls}" $name; done
for name in TERM INT QUIT; do trap "echo kong ended by $name >>{calls}; exit 7" $name; done
echo "kong $$ $* start_cmd=${{KONG_PLUGINSERVER_OTLP_TRACING_START_CMD:-none}}" >>{calls}
while :; do sleep infinity & wait $!; done
"""


@pytest.mark.parametrize("variable", ["OTLP_HEADER_FILE", "OTEL_EXPORTER_OTLP_HEADERS_FILE"])
@pytest.mark.parametrize("script", [ENTRYPOINT, SERVER_SCRIPT], ids=lambda path: path.name)
def test_a_secret_that_cannot_be_read_is_said(script: Path, variable: str, tmp_path: Path) -> None:
    """A line names the variable, the file and the user, and the program is started without the secret."""
    missing = tmp_path / "missing"
    done = run(script, tmp_path, ["kong", "version"], {variable: str(missing)})

    assert done.stderr.startswith(f"otlp-tracing: {variable}: user ")
    assert done.stderr.splitlines()[0].endswith(f" cannot read {missing}")
    assert f"{variable}={missing}" in done.stdout


@pytest.mark.parametrize("script", [ENTRYPOINT, SERVER_SCRIPT], ids=lambda path: path.name)
def test_a_secret_in_a_file_becomes_the_variable(script: Path, tmp_path: Path) -> None:
    """Both images read it, and the variable with the file's name is gone."""
    (tmp_path / "secret").write_text("x-api-key=abc\n")
    done = run(script, tmp_path, ["kong", "version"], {"OTEL_EXPORTER_OTLP_HEADERS_FILE": str(tmp_path / "secret")})

    assert "OTEL_EXPORTER_OTLP_HEADERS=x-api-key=abc" in done.stdout.splitlines()
    assert (done.stderr, "_FILE=" in done.stdout) == ("", False)


def test_a_volume_that_is_too_small_is_said(tmp_path: Path) -> None:
    """The server's container ends with a sentence that names the folder, and leaves no description."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "description.partial").symlink_to("/dev/full")
    done = run(SERVER_SCRIPT, tmp_path, ["serve"], {"OTLP_TRACING_KONG_PREFIX": str(folder)}, "echo {}")

    assert f"otlp-tracing: the plugin's description cannot be written into {folder}\n" in done.stderr
    assert done.returncode == 1
    assert not (folder / "description.json").exists()


def test_a_base_that_is_no_kong_is_refused(tmp_path: Path) -> None:
    """The entrypoint says which build argument is wrong."""
    done = subprocess.run(["/bin/bash", moved(ENTRYPOINT, tmp_path)], capture_output=True, text=True, check=False)

    assert "KONG_IMAGE is no image of Kong" in done.stderr
    assert done.returncode == 2


def moved(script: Path, folder: Path) -> Path:
    """Return a copy of an image's script with its places in a folder."""
    text = script.read_text().replace("/usr/local/otlp-tracing", str(folder / "otlp-tracing"))
    text = text.replace("/otlp-tracing-secrets.sh", str(script.with_name("secrets.sh")))
    copy = folder / script.name
    copy.write_text(text.replace("/docker-entrypoint.sh", str(folder / "docker-entrypoint.sh")))
    return copy


def run(
    script: Path, folder: Path, command: Sequence[str], environment: Mapping[str, str], does: str = "env"
) -> subprocess.CompletedProcess[str]:
    """Run an image's script whose programs do one thing, by default print their environment."""
    for program in (folder / "otlp-tracing" / "bin" / "otlp-tracing", folder / "docker-entrypoint.sh"):
        program.parent.mkdir(parents=True, exist_ok=True)
        write_program(program, f"#!/bin/sh\n{does}\n")
    return subprocess.run(
        [script.read_text().splitlines()[0].removeprefix("#!"), moved(script, folder), *command],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


class Image:
    """The entrypoint with a plugin server and a Kong that only write down what happens to them."""

    def __init__(self, folder: Path) -> None:
        self.calls, self.orders, self.prefix = folder / "calls", folder / "orders", folder / "prefix"
        self.prefix.mkdir()
        self._programs = folder / "otlp-tracing" / "bin"
        self._programs.mkdir(parents=True)
        self._log = folder / "log"
        places = {"calls": self.calls, "orders": self.orders}
        write_program(self._programs / "otlp-tracing", SERVER.format(**places))
        write_program(folder / "docker-entrypoint.sh", KONG.format(**places))
        self._script = moved(ENTRYPOINT, folder)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, version: str = "3.9.3", **environment: str) -> None:
        """Start it, and wait until Kong runs."""
        write_program(self._programs / "kong", f"#!/bin/sh\necho {version}\n")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                ["/bin/bash", str(self._script), "kong", "docker-start"],
                env={"PATH": f"{self._programs}:/usr/bin:/bin", "KONG_PREFIX": str(self.prefix), **environment},
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: self.pids("kong"), 10, "Kong is started")

    def lines(self) -> list[str]:
        """Return what has happened so far."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def pids(self, program: str) -> list[int]:
        """Return the pids of every start of `kong` or `server`."""
        words = [line.split() for line in self.lines()]
        return [int(one[1]) for one in words if one[0] == program and one[1].isdigit()]

    def output(self) -> str:
        """Return the entrypoint's own lines."""
        return self._log.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send the entrypoint a signal."""
        assert self.process
        self.process.send_signal(number)

    def close(self) -> None:
        """End whatever still runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for pid in filter(alive, [*self.pids("kong"), *self.pids("server")]):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    """Give an entrypoint, not yet started."""
    image = Image(tmp_path)
    try:
        yield image
    finally:
        image.close()


def test_kong_comes_after_the_plugin_server_and_ends_before_it(image: Image) -> None:
    """The plugin server is asked for before Kong starts, takes Kong's last records, and Kong's exit code is the end."""
    image.start()
    image.signal(signal.SIGQUIT)
    assert image.process
    assert image.process.wait(10) == 7

    assert [line.split()[0] for line in image.lines()[:3]] == ["server", "probed", "kong"]
    assert image.lines()[-2:] == ["kong ended by QUIT", "server ended"]


@pytest.mark.parametrize("name", ["HUP", "USR1", "WINCH"])
def test_nginx_gets_its_signals(image: Image, name: str) -> None:
    """A signal for nginx reaches Kong, the plugin server stays, and the next signal reaches Kong as well."""
    image.start()
    for count in (1, 2):
        image.signal(signal.Signals[f"SIG{name}"])
        wait_for(lambda: image.lines().count(f"kong got {name}") == count, 10, f"Kong gets {name}")  # noqa: B023

    assert len(image.pids("server")) == 1
    image.signal(signal.SIGTERM)
    assert image.process
    assert image.process.wait(10) == 7


def test_a_killed_plugin_server_is_started_again(image: Image) -> None:
    """After a second, as Kong does; one that ends again at once waits longer; Kong is left alone."""
    image.start()
    (first,) = image.pids("server")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(image.pids("server")) == 2, 10, "a new plugin server")
    image.orders.write_text("3")
    os.kill(image.pids("server")[1], signal.SIGTERM)
    wait_for(lambda: "ended with 3, the next start is in 4 s" in image.output(), 10, "a longer pause")

    assert "plugin server ended with 137, the next start is in 1 s" in image.output()
    assert "plugin server ended with 0, the next start is in 2 s" in image.output()
    assert len(image.pids("kong")) == 1


def test_kongs_own_start_command_takes_over(image: Image) -> None:
    """A server that makes room for Kong's own is not started again: each would take the socket from the other."""
    image.start()
    (image.prefix / ".kong_env").write_text("pluginserver_otlp_tracing_start_cmd = /opt/start.sh\n")
    (server,) = image.pids("server")
    os.kill(server, signal.SIGTERM)
    wait_for(lambda: "server ended" in image.lines(), 10, "it makes room")
    image.signal(signal.SIGTERM)
    assert image.process

    assert image.process.wait(10) == 7
    assert "next start" not in image.output()


@pytest.mark.parametrize(("version", "start_cmd"), [("3.4.2", "sleep infinity"), ("3.9.3", "none"), ("", "none")])
def test_only_kong_3_4_gets_a_start_command(image: Image, version: str, start_cmd: str) -> None:
    """Kong 3.4 calls no plugin server without one; with one, `GET /` of the Admin API of Kong 3.9 answers 500."""
    image.start(version)

    assert image.lines()[-1].endswith(f"docker-start start_cmd={start_cmd}")


def test_the_operators_start_command_stays(image: Image) -> None:
    """A start command of the operator's is passed on."""
    image.start("3.4.2", KONG_PLUGINSERVER_OTLP_TRACING_START_CMD="/opt/start.sh")

    assert image.lines()[-1].endswith("start_cmd=/opt/start.sh")
