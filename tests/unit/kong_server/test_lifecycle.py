"""Promises of kong_server/lifecycle.py."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.waiting import wait_for
from otlp_tracing.kong_server.lifecycle import Lifecycle, WorkerState, pending_path
from otlp_tracing.unix_sockets import identity


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "kong.socket"
    path.touch()
    return path


def lifecycle(path: Path, kong: int | None = None) -> Lifecycle:
    bound = identity(path)
    assert bound is not None
    return Lifecycle(path, bound, kong, os.getppid())


def test_a_worker_serves_while_nothing_changes(path: Path) -> None:
    """The socket is unchanged, and there was no signal."""
    assert lifecycle(path).state() is WorkerState.SERVING


def test_a_successor_sends_a_worker_into_retirement(path: Path) -> None:
    """Another socket at the path means another group."""
    worker = lifecycle(path)
    successor = path.with_name("successor")
    successor.touch()
    successor.replace(path)

    assert worker.state() is WorkerState.DRAINING


def test_a_worker_ends_with_kong(path: Path) -> None:
    """Whatever else is the case."""
    kong = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    worker = lifecycle(path, os.pidfd_open(kong.pid))
    assert worker.state() is WorkerState.SERVING
    kong.kill()
    kong.wait()
    assert kong.stdin is not None
    kong.stdin.close()

    assert worker.state() is WorkerState.STOPPING


def test_a_worker_that_starts_late_notices_that_its_supervisor_is_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It closes the supervisor's output, which it inherited: Kong waits for its end before it starts another one."""
    released: list[bool] = []
    monkeypatch.setattr("otlp_tracing.kong_server.lifecycle._release_output", lambda: released.append(True))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    bound = identity(path)
    assert bound is not None
    worker = Lifecycle(path, bound, None, ended.pid)

    assert worker.state() is WorkerState.SERVING
    assert worker.state() is WorkerState.SERVING
    assert released == [True]


def test_a_group_in_waiting_serves_until_it_takes_its_place(path: Path) -> None:
    """Its socket is beside the path while another group serves, and then at it."""
    waiting = pending_path(path, os.getppid())
    waiting.touch()
    bound = identity(waiting)
    assert bound is not None
    worker = Lifecycle(path, bound, None, os.getppid())
    assert worker.state() is WorkerState.SERVING
    worker.publish_socket()

    assert identity(path) == bound
    assert worker.state() is WorkerState.SERVING
    assert not waiting.exists()


_REPORT = """
import os, sys, time
from otlp_tracing.kong_server.lifecycle import is_running, watch_starter
if {waits}:
    while os.getppid() == int(sys.argv[2]):
        time.sleep(0.01)
try:
    found = "running" if is_running(watch_starter()) else "ended"
except ProcessLookupError:
    found = "gone"
open(sys.argv[1], "w").write(found)
"""
_STARTER = """
import os, subprocess, sys, time
reader, writer = os.pipe()
subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2], str(os.getpid())], stdout=writer)
if sys.argv[3] == "stays":
    os.close(writer)
    os.read(reader, 1)
"""


@pytest.mark.parametrize(("starter", "found"), [("stays", "running"), ("ends", "gone")])
def test_a_starter_that_has_ended_is_not_mistaken_for_its_heir(starter: str, found: str, tmp_path: Path) -> None:
    """Kong can end before the first line of the process runs: the parent is another one then, which never ends."""
    report = tmp_path / "report"
    program = _REPORT.format(waits=starter == "ends")
    subprocess.run([sys.executable, "-c", _STARTER, program, str(report), starter], check=True, timeout=90)

    assert wait_for(lambda: report.exists() and report.read_text(), 30, "the process reports") == found


@pytest.mark.parametrize(("prefix", "outlives"), [("nohup ", True), ("", False)])
def test_under_nohup_the_server_outlives_its_shell(prefix: str, outlives: bool) -> None:
    """A plugin server that ended when its administrator logged out would end tracing, or requests on Kong 3.9."""
    program = "from otlp_tracing.kong_server.lifecycle import watch_starter; print(watch_starter() is None)"
    shell = ["sh", "-c", f"{prefix}{shlex.join([sys.executable, '-c', program])}; true"]
    run = subprocess.run(shell, capture_output=True, text=True, check=True, timeout=90)

    assert run.stdout == f"{outlives}\n"
