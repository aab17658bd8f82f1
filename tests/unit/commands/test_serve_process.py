"""Promises of `serve` as a process, with its workers and its sidecar: what a mistake leaves running."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e.ports import accepts, free_port
from e2e.waiting import wait_for
from other_users import needs_root, open_folder
from otlp_tracing.commands.probe import ask_plugin_server
from otlp_tracing.errors import WireError

_SECONDS = 30.0


class Served:
    """A `serve` of one worker that runs in a prefix."""

    def __init__(self, prefix: Path, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.prefix = prefix
        self.port = port
        self.process = process
        self._log = log

    def answers(self, name: str = "otlp-tracing.socket") -> bool:
        """Tell whether a worker answers at Kong's socket."""
        try:
            ask_plugin_server(self.prefix / name)
        except (OSError, WireError):
            return False
        return True

    def report(self, path: str) -> Any:
        """Return a report of its sidecar; None while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def metrics(self) -> str:
        """Return /metrics; empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def warnings(self, text: str) -> list[dict[str, Any]]:
        """Return the lines of /log that have a text in them."""
        return [one for one in (self.report("/log") or {"lines": []})["lines"] if text in one["text"]]

    def wait(self) -> None:
        """Wait until it answers."""
        wait_for(self.answers, _SECONDS, "the plugin server answers")

    def log(self) -> str:
        """Return its output."""
        return self._log.read_text()


def python_of(user: Sequence[str]) -> list[str]:
    """Return a Python that runs the package as another user: ours can be where only root may look."""
    packages = os.pathsep.join(path for path in sys.path if path)
    for python in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        command = ["setpriv", *user, "--clear-groups", "env", f"PYTHONPATH={packages}", python]
        if (
            subprocess.run([*command, "-c", "import otlp_tracing, grpc"], capture_output=True, check=False).returncode
            == 0
        ):
            return command
    pytest.skip("no Python that another user may run has the packages")


@contextmanager
def serve(
    prefix: Path,
    *options: str,
    user: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    taken: socket.socket | None = None,
) -> Iterator[Served]:
    """Run `serve`, with `--on-fault continue` as an image does.

    Args:
        prefix: Kong's.
        options: further ones.
        user: options of setpriv.
        environment: added to ours.
        taken: is to listen at the port of its page.
    """
    log = prefix.parent / "serve.log"
    port = free_port()
    if taken is not None:
        taken.bind(("127.0.0.1", port))
        taken.listen()
    python = python_of(user) if user else [sys.executable]
    command = [
        *(*python, "-m", "otlp_tracing", "serve", "--on-fault", "continue", "--workers", "1"),
        *("--kong-prefix", str(prefix), "--http", f"127.0.0.1:{port}", *options),
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(environment or {})})
    try:
        yield Served(prefix, port, process, log)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    folder = tmp_path / "kong"
    folder.mkdir()
    return folder


def test_the_supervisors_warnings_reach_the_sidecar(prefix: Path) -> None:
    """An option that was refused is at /log, with the process that said so, and in the file of all processes."""
    file = prefix / "log"
    environment = {"OTLP_TRACING_TRACE_URL": "http://jaeger/trace", "OTLP_TRACING_LOG_FILE": str(file)}
    with serve(prefix, environment=environment) as served:
        served.wait()
        (line,) = wait_for(lambda: served.warnings("OTLP_TRACING_TRACE_URL"), _SECONDS, "the warning is at /log")

        assert line["process"] == "serve"
        assert line["text"] in file.read_text()
        for text in ("worker started: slot 0", "sidecar listening"):
            wait_for(lambda: text in file.read_text(), _SECONDS, "every process writes to the file")  # noqa: B023
        assert line["text"] in [one["text"] for one in served.report("/delivery")["warnings"]]


ANOTHER = ("--reuid=12345", "--regid=12345")
ANY_OF_GROUP_0 = ("--reuid=12345", "--regid=0")  # OpenShift gives a container such a user


@pytest.fixture
def open_prefix() -> Iterator[Path]:
    """A prefix that the user 12345 owns, in a folder that every user may enter."""
    with open_folder() as folder:
        prefix = folder / "kong"
        prefix.mkdir(mode=0o755)
        os.chown(prefix, 12345, 0)
        yield prefix


@needs_root
def test_the_left_overs_of_a_root_shell_are_said_and_mended(open_prefix: Path) -> None:
    """With root's folder and socket there, requests are served, spans are kept in memory, and `chown` mends it."""
    folder = open_prefix / "otlp-tracing"
    (folder / "spool").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(open_prefix / "otlp-tracing.socket"))
    with serve(open_prefix, user=ANOTHER) as served:
        served.wait()
        remedy = f"{folder} belongs to root, and this process runs as 12345; run: chown -R 12345 {folder}"

        trouble = wait_for(lambda: (served.report("/delivery") or {}).get("spool_trouble"), _SECONDS, "it is said")
        assert trouble == remedy
        wait_for(lambda: served.warnings(f"spool write failed: {folder / 'spool'}: {remedy}"), _SECONDS, "it is logged")
        for path in (folder, *folder.iterdir()):
            os.chown(path, 12345, 12345)
        wait_for(lambda: served.report("/delivery")["spool_trouble"] is None, _SECONDS, "the spool is used")
        assert (folder / "spool" / "spool.db").exists()


@needs_root
def test_a_socket_that_cannot_be_bound_is_tried_again(open_prefix: Path) -> None:
    """In a prefix of another user `serve` says the reason and waits; it listens once the prefix is mended."""
    os.chown(open_prefix, 0, 0)
    open_prefix.chmod(0o700)
    with serve(open_prefix, user=ANOTHER) as served:
        wait_for(lambda: f"run: chown 12345 {open_prefix}" in served.log(), _SECONDS, "the remedy is said")
        assert served.process.poll() is None
        os.chown(open_prefix, 12345, 0)
        served.wait()


@needs_root
def test_folders_that_change_their_owner_end_nothing(open_prefix: Path) -> None:
    """It serves on, says the owner and the command, and looks after its socket again; a stop meanwhile is no error."""
    name = "otlp-tracing.run/kong.socket"
    path, folders = open_prefix / name, (open_prefix / "otlp-tracing.run", open_prefix / "otlp-tracing")

    def give(owner: int) -> None:
        subprocess.run(["/bin/chown", "-R", str(owner), *map(str, folders)], check=True)

    with serve(open_prefix, "--socket-name", name, user=ANOTHER) as served:
        wait_for(lambda: served.answers(name) and served.report("/delivery"), _SECONDS, "it serves")
        give(0)
        obstacle = f"socket unreachable: {folders[0]} belongs to root, and this process runs as 12345"
        wait_for(lambda: f"{obstacle}; run: chown -R 12345 {folders[0]}" in served.log(), _SECONDS, "it is said")
        assert served.answers(name)
        remedy = f"{folders[1]} belongs to root, and this process runs as 12345; run: chown -R 12345 {folders[1]}"
        wait_for(lambda: served.report("/delivery")["spool_trouble"] == remedy, _SECONDS, "the spool's is said too")
        give(12345)
        path.unlink()
        wait_for(lambda: served.answers(name), _SECONDS, "its socket is there again")
        wait_for(lambda: served.report("/delivery")["spool_trouble"] is None, _SECONDS, "the spool is used again")
        give(0)
        served.process.terminate()

        assert served.process.wait(60) == 0
    assert [line for line in served.log().splitlines() if "Traceback" in line or "internal error" in line] == []


@needs_root
def test_any_user_of_group_0_can_run_it(open_prefix: Path) -> None:
    """Where the group may write, as in an image on OpenShift, its own folders are private and spans are spooled."""
    os.chown(open_prefix, 1000, 0)
    open_prefix.chmod(0o775)
    (open_prefix / "otlp-tracing").mkdir()
    (open_prefix / "otlp-tracing").chmod(0o770)
    os.chown(open_prefix / "otlp-tracing", 1000, 0)
    with serve(open_prefix, "--socket-name", "run/kong.socket", user=ANY_OF_GROUP_0) as served:
        wait_for(lambda: served.report("/delivery"), _SECONDS, "the sidecar answers")

        assert served.report("/delivery")["spool_trouble"] is None
        modes = {path: (open_prefix / path).stat().st_mode & 0o777 for path in ("run", "otlp-tracing/spool")}
        assert modes == {"run": 0o700, "otlp-tracing/spool": 0o700}


@needs_root
def test_a_read_only_volume_costs_no_span(open_prefix: Path) -> None:
    """The sidecar's socket is elsewhere, spans are kept in memory, and both are said."""
    volume = open_prefix / "otlp-tracing"
    volume.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "ro,mode=0777", "tmpfs", str(volume)], check=True)
    try:
        with serve(open_prefix, user=ANOTHER) as served:
            served.wait()
            wait_for(lambda: served.warnings("sidecar socket is elsewhere"), _SECONDS, "it is said")

            assert served.report("/delivery")["spool_trouble"].startswith(f"{volume} is on a read-only file system")
            assert (open_prefix / "otlp-tracing.12345" / "sidecar.sock").is_socket()
    finally:
        subprocess.run(["/bin/umount", str(volume)], check=True)


def test_a_taken_port_costs_no_span(prefix: Path) -> None:
    """The page waits for its port, and records are taken meanwhile; the attempts are counted."""
    with socket.socket() as other, serve(prefix, taken=other) as served:
        served.wait()
        wait_for(lambda: "is taken by another process; name another with --http" in served.log(), _SECONDS, "it waits")
        assert accepts(str(prefix / "otlp-tracing" / "sidecar.sock"))
        other.close()
        metrics = wait_for(served.metrics, _SECONDS, "the page has its port")

        assert 'otlp_tracing_listen_failed_total{option="--http"} 0.0' not in metrics


def test_it_ends_if_kong_ended_before_it_could_look(prefix: Path) -> None:
    """Its parent is another process then, such as init; a plugin server of no Kong would stay for ever."""
    kong = """
import os, subprocess, sys
_, output = os.pipe()
print(subprocess.Popen([*sys.argv[1:]], stdout=output, stderr=output).pid)
"""
    command = [sys.executable, "-m", "otlp_tracing", "serve", "--kong-prefix", str(prefix), "--workers", "1"]
    printed = subprocess.run(
        [sys.executable, "-c", kong, *command], capture_output=True, text=True, check=True, timeout=_SECONDS
    ).stdout

    def has_ended() -> bool:
        try:
            state = Path("/proc", printed.strip(), "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        return state == "Z"

    try:
        wait_for(has_ended, _SECONDS, "serve ends")
    finally:
        if not has_ended():
            os.kill(int(printed), signal.SIGTERM)
    assert not (prefix / "otlp-tracing.socket").exists()
