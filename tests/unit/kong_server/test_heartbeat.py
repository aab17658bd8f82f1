"""Promises of kong_server/heartbeat.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from doubles import ManualClock
from e2e.waiting import wait_for
from otlp_tracing.kong_server.heartbeat import (
    LOOK_SECONDS,
    STALE_SECONDS,
    HeartbeatTable,
    Watchdog,
    state_and_cpu_seconds,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def table() -> HeartbeatTable:
    return HeartbeatTable.create(2)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    wait_for(lambda: state_and_cpu_seconds(process.pid)[0] == "S", 30, "it sleeps")
    yield process
    process.kill()
    process.wait()


def looks(watchdog: Watchdog, clock: ManualClock, seconds: float) -> list[int]:
    killed: list[int] = []
    for _ in range(round(seconds / LOOK_SECONDS) + 1):
        killed += watchdog.check()
        clock.now += LOOK_SECONDS
    return killed


def test_the_table_is_shared(table: HeartbeatTable) -> None:
    """Another process that inherited the descriptor reads the same values."""
    table.write(1, 4711, 5.5)

    assert HeartbeatTable(table.descriptor, 2).read(1) == (4711, 5.5)
    assert table.read(0) == (0, 0.0)


def test_a_worker_that_does_not_move_is_killed(
    table: HeartbeatTable, clock: ManualClock, process: subprocess.Popen[bytes]
) -> None:
    """Within a second of its last sign, and its slot is free for another."""
    table.write(1, process.pid, clock.now)
    watchdog = Watchdog(table, 0, clock)
    last_heartbeat = clock.now
    killed: list[int] = []
    while not killed:
        killed = watchdog.check()
        clock.now += LOOK_SECONDS

    assert killed == [process.pid]
    assert process.wait(10) == -signal.SIGKILL
    assert clock.now - last_heartbeat < 1
    assert table.read(1)[0] == 0


def test_a_worker_that_moves_is_left_alone(
    table: HeartbeatTable, clock: ManualClock, process: subprocess.Popen[bytes]
) -> None:
    """A sign now and then is enough."""
    watchdog = Watchdog(table, None, clock)
    for _ in range(20):
        table.write(0, process.pid, clock.now)
        assert watchdog.check() == []
        clock.now += STALE_SECONDS / 2

    assert process.poll() is None


def test_a_worker_that_waits_for_a_core_is_left_alone(
    table: HeartbeatTable, clock: ManualClock, process: subprocess.Popen[bytes]
) -> None:
    """A worker without CPU time is not stuck; with CPU time and without a heartbeat it is."""
    cpu_seconds = 7.0
    table.write(1, process.pid, clock.now)
    watchdog = Watchdog(table, 0, clock, look=lambda _: ("R", cpu_seconds))

    assert looks(watchdog, clock, 5) == []
    cpu_seconds += 0.04
    assert looks(watchdog, clock, 5) == []
    cpu_seconds += 0.02
    assert looks(watchdog, clock, 1) == [process.pid]


def test_the_state_and_cpu_time_of_a_process(process: subprocess.Popen[bytes]) -> None:
    """They are read from the kernel; a process that is gone has neither."""
    state, cpu_seconds = state_and_cpu_seconds(os.getpid())
    assert state == "R"
    assert cpu_seconds == pytest.approx(time.process_time(), abs=0.1)
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert state_and_cpu_seconds(process.pid)[0] == "T"
    process.kill()
    process.wait()
    assert state_and_cpu_seconds(process.pid) == ("", 0.0)


def test_a_worker_that_spins_is_killed(table: HeartbeatTable, clock: ManualClock) -> None:
    """An endless loop uses the CPU time that a heartbeat would have needed."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as spinning:
        table.write(1, spinning.pid, clock.now)
        watchdog = Watchdog(table, 0, clock)
        wait_for(lambda: looks(watchdog, clock, STALE_SECONDS) == [spinning.pid], 30, "it is killed")

        assert spinning.wait(10) == -signal.SIGKILL


def test_nobody_kills_itself(table: HeartbeatTable, clock: ManualClock) -> None:
    """A worker that was slow to write its own sign is kept."""
    table.write(0, os.getpid(), clock.now)

    assert looks(Watchdog(table, 0, clock), clock, 5) == []


def test_a_pause_of_the_machine_kills_nobody(
    table: HeartbeatTable, clock: ManualClock, process: subprocess.Popen[bytes]
) -> None:
    """After a suspension every slot is stale; a worker that moves again before the second check stays."""
    table.write(1, process.pid, clock.now)
    watchdog = Watchdog(table, 0, clock)
    watchdog.check()
    clock.now += 600
    assert watchdog.check() == []
    table.write(1, process.pid, clock.now)
    clock.now += LOOK_SECONDS

    assert watchdog.check() == []
    assert process.poll() is None


def test_a_pid_that_is_gone_is_no_matter(table: HeartbeatTable, clock: ManualClock) -> None:
    """A worker that has ended needs no killing."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    table.write(1, ended.pid, clock.now)

    assert looks(Watchdog(table, 0, clock), clock, 5) == []
