"""Promises of kong_server/lifecycle.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otlp_tracing.kong_server.lifecycle import Lifecycle, WorkerState, identity, pending_path, watch


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
    worker = lifecycle(path, watch(kong.pid))
    assert worker.state() is WorkerState.SERVING
    kong.kill()
    kong.wait()
    assert kong.stdin is not None
    kong.stdin.close()

    assert worker.state() is WorkerState.STOPPING
    assert watch(kong.pid) is None


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
