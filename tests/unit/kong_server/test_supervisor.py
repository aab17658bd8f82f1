"""Promises of kong_server/supervisor.py."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from otlp_tracing import log_limit
from otlp_tracing.errors import ConfigError
from otlp_tracing.kong_server import supervisor
from otlp_tracing.kong_server.heartbeat import HeartbeatTable, state_and_cpu_seconds
from otlp_tracing.kong_server.lifecycle import kept_path, pending_path
from otlp_tracing.kong_server.supervisor import Child, _restore, bind
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.unix_sockets import identity

# A double of a worker: it says its pid, fills its slot for as long as it is not stopped, and serves no request.
CHILD = """
import os, sys, time
from pathlib import Path
from otlp_tracing.kong_server.lifecycle import pending_path
from otlp_tracing.kong_server.heartbeat import HeartbeatTable
table = HeartbeatTable(int(sys.argv[2]), 1)
path = Path(sys.argv[1]).with_name("kong.socket")
waiting = pending_path(path, os.getppid())
if waiting.exists():
    waiting.replace(path)
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
while True:
    table.write(0, os.getpid(), time.monotonic())
    time.sleep(0.02)
"""
PROGRAM = """
import sys
from pathlib import Path
from otlp_tracing.kong_server.heartbeat import HeartbeatTable
from otlp_tracing.kong_server.lifecycle import watch_starter
from otlp_tracing.kong_server.supervisor import Child, bind, supervise
path = Path({folder!r}, "kong.socket")
(listener, bound), table = bind(path), HeartbeatTable.create(1)
command = [sys.executable, "-c", {child!r}, {folder!r} + "/pids", str(table.descriptor)]
worker = Child("worker 0", command, descriptors=[table.descriptor], slot=0)
supervise([worker], table, path, bound, kong=watch_starter())
"""


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    return state_and_cpu_seconds(pid)[0] not in {"", "Z"}


def sleeps(pid: int) -> bool:
    return state_and_cpu_seconds(pid)[0] == "S"


def pids(path: Path) -> list[int]:
    """Return the children so far: each that stops for half a second is replaced, as it should be."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def children(path: Path, supervisor: subprocess.Popen[bytes]) -> list[int]:
    """Return those of one supervisor that are alive."""
    return [pid for pid in pids(path) if alive(pid) and parent(pid) == supervisor.pid]


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_the_socket_is_the_owners_alone(tmp_path: Path) -> None:
    """No other user may speak to the plugin server."""
    listener, _ = bind(tmp_path / "kong.socket")

    assert stat.S_IMODE((tmp_path / "kong.socket").stat().st_mode) == 0o600
    listener.close()


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


def test_a_socket_that_nobody_serves_is_replaced(tmp_path: Path) -> None:
    """The remains of a group that died do not block another."""
    path = tmp_path / "kong.socket"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    listener, bound = bind(path)
    client = connect(path)

    assert identity(path) == bound
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [f".kong.socket.kept.{os.getpid()}", "kong.socket"]
    for one in (client, listener):
        one.close()


def test_a_path_that_is_served_is_left_until_somebody_serves_here(tmp_path: Path) -> None:
    """The path leads to the old group until a worker of the new one puts its socket there, in one step."""
    path = tmp_path / "kong.socket"
    old, _ = bind(path)
    new, bound = bind(path)
    waiting = pending_path(path, os.getpid())
    early = connect(path)
    assert identity(path) != bound == identity(waiting)
    waiting.replace(path)  # Lifecycle.publish_socket, in a worker
    late = connect(path)
    old.setblocking(False)
    accepted = [old.accept()[0], old.accept()[0], new.accept()[0]]  # one is bind's own look

    assert identity(path) == bound
    for one in (old, new, early, late, *accepted):
        one.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """One sentence names the folder, and the remedy."""
    with pytest.raises(ConfigError, match=r"--kong-prefix = .*/missing: there is no such folder; create it"):
        bind(tmp_path / "missing" / "kong.socket")


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    """A file that is not a socket is not replaced."""
    (tmp_path / "kong.socket").write_text("precious")

    with pytest.raises(ConfigError, match="is not a socket"):
        bind(tmp_path / "kong.socket")
    assert (tmp_path / "kong.socket").read_text() == "precious"


def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    """A unix socket's path has 107 bytes at the most."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()

    with pytest.raises(ConfigError, match="cannot listen there"):
        bind(folder / "kong.socket")


def start_supervisor(folder: Path) -> subprocess.Popen[bytes]:
    supervisor = subprocess.Popen([sys.executable, "-c", PROGRAM.format(child=CHILD, folder=str(folder))])
    wait_for(lambda: len(pids(folder / "pids")) >= 1)
    return supervisor


def test_a_child_that_dies_is_started_again_and_ends_with_us(tmp_path: Path) -> None:
    """Killed, it is back within two seconds; SIGTERM ends both."""
    supervisor = start_supervisor(tmp_path)
    os.kill(pids(tmp_path / "pids")[0], signal.SIGKILL)
    wait_for(lambda: len(pids(tmp_path / "pids")) >= 2)
    supervisor.terminate()

    assert supervisor.wait(60) == 0
    assert not any(map(alive, pids(tmp_path / "pids")))


def ends(child: Child, code: int, lasted: float) -> float:
    """Let a child have ended; return the pause before its next start."""
    child.process = subprocess.Popen(["/bin/sh", "-c", f"kill {code} $$" if code < 0 else f"exit {code}"])
    child.process.wait()
    child.started_at = 100.0
    child.note_end(HeartbeatTable.create(1), 100.0 + lasted)
    return child.pause


def test_a_child_that_ends_at_once_is_started_ever_more_slowly() -> None:
    """After 1, 2, 4 … 60 s; a worker, without which requests fail, and one that ran for a while, after one."""
    sidecar, worker = Child("sidecar", []), Child("worker 0", [], slot=0)

    assert [ends(sidecar, 1, 0.5) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert ends(sidecar, 1, 10.0) == 1
    assert [ends(sidecar, -9, 0.5) for _ in range(3)] == [1, 2, 4]
    assert ends(sidecar, -9, 2.0) == 1
    assert [ends(worker, 1, 0.5) for _ in range(3)] == [1, 1, 1]


def test_a_worker_gets_more_time_to_start_where_it_needs_more() -> None:
    """On a busy machine a worker that is killed after 5 s would never serve; the next has 10 s, up to a minute."""
    worker, table = Child("worker 0", [], slot=0), HeartbeatTable.create(1)
    allowed = []
    for _ in range(6):
        with subprocess.Popen(["/bin/sleep", "60"]) as worker.process:
            wait_for(partial(sleeps, worker.process.pid))
            worker.started_at = 100.0
            worker.end_if_stuck_at_start(table, 100.0 + worker.start_seconds - 0.1)
            assert worker.process.poll() is None
            allowed.append(worker.start_seconds)
            worker.end_if_stuck_at_start(table, 100.0 + worker.start_seconds)
            assert worker.process.wait(60) == -signal.SIGKILL

    assert allowed == [5, 10, 20, 40, 60, 60]


def test_a_program_that_is_gone_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After a move of the installation the log says which program cannot be started."""
    Child("worker 0", [str(tmp_path / "python"), "-c", ""], slot=0).start_if_due(100.0)

    assert caplog.messages == [f"worker 0 start failed, trying again: {tmp_path / 'python'}: No such file or directory"]


def test_a_worker_that_never_serves_does_not_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its ends of one interval are one line, and its failed starts another."""
    monkeypatch.setattr(log_limit, "INTERVAL_SECONDS", 3600.0)
    worker = Child("worker 0", [str(tmp_path / "python")], slot=0)
    for second in range(3):
        ends(worker, 1, 0.5)
        worker.start_if_due(200.0 + second)

    ended, not_started = caplog.messages
    assert ended.startswith("worker 0 ended: pid ")
    assert not_started.startswith("worker 0 start failed, trying again: ")


def test_a_worker_that_waits_for_a_core_at_its_start_is_left_alone() -> None:
    """On a busy machine it has as long as it needs; a start that uses much CPU and serves nothing has not."""
    table = HeartbeatTable.create(1)
    worker = Child("worker 0", ["unused"], slot=0)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as worker.process:
        worker.started_at = 100.0
        worker.end_if_stuck_at_start(table, 900.0)
        assert worker.process.poll() is None
        worker.start_seconds = 0.1

        def is_killed() -> bool:
            worker.end_if_stuck_at_start(table, 900.0)
            assert worker.process is not None
            return worker.process.poll() == -signal.SIGKILL

        wait_for(is_killed)


def test_a_worker_that_is_stopped_is_replaced(tmp_path: Path) -> None:
    """A worker that does not move holds up requests: it is killed, and another started."""
    supervisor = start_supervisor(tmp_path)
    stopped = pids(tmp_path / "pids")[0]
    os.kill(stopped, signal.SIGSTOP)
    wait_for(lambda: len(pids(tmp_path / "pids")) >= 2)
    supervisor.terminate()

    assert supervisor.wait(60) == 0
    assert not alive(stopped)


def test_children_end_when_kong_is_gone(tmp_path: Path) -> None:
    """A supervisor ends by itself when its parent dies silently, and takes its children along."""
    code = (
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', "
        f"{PROGRAM.format(child=CHILD, folder=str(tmp_path))!r}]); time.sleep(60)"
    )
    kong = subprocess.Popen([sys.executable, "-c", code])
    wait_for(lambda: len(pids(tmp_path / "pids")) >= 1)
    kong.kill()
    kong.wait()

    wait_for(lambda: not any(map(alive, pids(tmp_path / "pids"))))


def test_a_group_makes_room_for_the_next(tmp_path: Path) -> None:
    """A second group at the same path is the one that stays."""
    first = start_supervisor(tmp_path)
    second = subprocess.Popen([sys.executable, "-c", PROGRAM.format(child=CHILD, folder=str(tmp_path))])
    wait_for(lambda: children(tmp_path / "pids", second))
    for child in children(tmp_path / "pids", first):
        os.kill(child, signal.SIGKILL)  # the double does not look at its lifecycle itself

    assert first.wait(60) == 0
    wait_for(lambda: children(tmp_path / "pids", second))
    second.terminate()
    assert second.wait(60) == 0


def test_a_deleted_socket_is_there_again(tmp_path: Path) -> None:
    """It is the same socket, so workers and their connections go on; at its end the group removes both names."""
    path = tmp_path / "kong.socket"
    supervisor = start_supervisor(tmp_path)
    wait_for(lambda: pids(tmp_path / "pids"))
    bound, workers = identity(path), pids(tmp_path / "pids")
    path.unlink()
    wait_for(lambda: identity(path) == bound)
    assert pids(tmp_path / "pids") == workers
    supervisor.terminate()

    assert supervisor.wait(30) == 0
    assert list(tmp_path.glob(".kong.socket*")) == []


def test_a_group_ends_if_its_socket_cannot_be_made_again(tmp_path: Path) -> None:
    """Kong, or systemd, starts another one, which binds a socket of its own."""
    supervisor = start_supervisor(tmp_path)
    wait_for(lambda: pids(tmp_path / "pids"))
    kept_path(tmp_path / "kong.socket", supervisor.pid).unlink()
    (tmp_path / "kong.socket").unlink()

    assert supervisor.wait(30) == 0
    assert not alive(pids(tmp_path / "pids")[-1])


def refuse(error: OSError, *_: object) -> None:
    raise error


@pytest.mark.parametrize(
    ("number", "may_write", "stays"),
    [
        (errno.EACCES, True, True),  # the folder was given back since
        (errno.EACCES, False, True),
        (errno.EPERM, False, True),
        (errno.EPERM, True, False),  # the socket alone was given away: another process can bind one
        (errno.EROFS, True, True),
        (errno.ENOENT, False, False),
    ],
)
def test_a_group_stays_while_no_other_could_bind(
    number: int, may_write: bool, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a closed folder the socket is out of sight, and Kong's connections are served on."""
    monkeypatch.setattr(Path, "hardlink_to", partial(refuse, OSError(number, os.strerror(number))))
    monkeypatch.setattr(os, "access", lambda *_: may_write)

    assert _restore(tmp_path / "kong.socket") is stays


def test_a_closed_folder_does_not_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its looks of one interval are one line, which names the folder."""
    monkeypatch.setattr(supervisor, "_unreachable", LimitedLog(supervisor._log, lambda: 100.0))
    monkeypatch.setattr(Path, "hardlink_to", partial(refuse, PermissionError(errno.EACCES, "Permission denied")))
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    for _ in range(3):
        assert _restore(tmp_path / "kong.socket")

    (line,) = caplog.messages
    assert line.startswith("socket unreachable: / belongs to root, and this process runs as 54321; ")


def test_what_died_waiting_is_cleared_away(tmp_path: Path) -> None:
    """A group that ended before it had its place leaves a socket in Kong's prefix; the next to start removes it."""
    path = tmp_path / "kong.socket"
    died = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left, moved, other = (
        pending_path(path, int(died.stdout)),
        pending_path(path, os.getppid()),
        path.with_name(".kong.socket.lock"),
    )
    for one in (left, moved, other):
        with socket.socket(socket.AF_UNIX) as ended:
            ended.bind(str(one))
    listener, _ = bind(path)
    listener.close()

    assert not left.exists()
    assert moved.exists()
    assert other.exists()


def test_what_waits_is_left_alone(tmp_path: Path) -> None:
    """Somebody listens: its supervisor may live in another pid namespace."""
    path = tmp_path / "kong.socket"
    died = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    waiting = pending_path(path, int(died.stdout))
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(waiting))
        other.listen()
        listener, _ = bind(path)
        listener.close()

        assert waiting.exists()


def test_a_worker_that_has_served_is_not_slow_to_start() -> None:
    """The slot of a worker that another one's watchdog has just killed is empty, and says nothing about its start."""
    worker, table = Child("worker 0", [], slot=0), HeartbeatTable.create(1)
    with subprocess.Popen(["/bin/sleep", "60"]) as worker.process:
        worker.started_at = 100.0
        table.write(0, worker.process.pid, 101.0)
        worker.end_if_stuck_at_start(table, 101.0)
        table.write(0, 0, 110.0)
        worker.end_if_stuck_at_start(table, 110.0)

        assert worker.process.poll() is None
        assert worker.start_seconds == 5
        worker.process.kill()
