"""Faults between the gateway's processes and the sidecar: it is killed, stopped, or not there."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.ports import accepts
from e2e.waiting import wait_for
from faults.delivery.oracle import assert_untraced_exactly
from faults.delivery.resources import watched
from faults.delivery.scene import Scene, StartScene
from faults.delivery.stalls import Stopwatch
from load.process_figures import figures
from otlp_tracing.plugin import emitter
from otlp_tracing.plugin.emitter import MAX_RING_BYTES

pytestmark = pytest.mark.timeout(3600)

_FELT_SECONDS = 0.25  # the longest time that Kong waits for an answer
_BACK_SECONDS = 2.0
_FRAME_COST = 1.5  # Python's objects around a frame of a kilobyte
_IDLE_BYTES = 6 << 20  # memory that the test's process takes and releases by itself
_RATE = 500

_EMITTER = emitter.__name__

# Listens at a path and takes nothing, as a process of user 65534.
_LISTENER = (
    "import os, socket, sys, time; s = socket.socket(socket.AF_UNIX); os.umask(0); "
    "os.setgroups([]); os.setgid(65534); os.setuid(65534); s.bind(sys.argv[1]); s.listen(); time.sleep(600)"
)


def test_nothing_happens(scene: Scene) -> None:
    """Fault 0: without any, everything arrives once, whole, and the books balance."""
    with scene.producer.sending(_RATE):
        scene.wait_until_delivered(_RATE)

    scene.assert_conserved(max_repeated=0)


@pytest.mark.parametrize("ring_bytes", [None, 1 << 20], ids=["it all fits", "the ring overflows"])
def test_the_sidecar_is_stopped(
    start_scene: StartScene, seconds: Callable[[float, float], float], pause_s: float, ring_bytes: int | None
) -> None:
    """Fault 2: SIGSTOP delays no request, takes no more memory than the ring, and given-up records are counted
    exactly.

    Memory is that of the process which hands over, and of the receiver, which is idle meanwhile. In the second case
    the records would take many times as much as the ring may have.
    """
    with start_scene(ring_bytes=ring_bytes, pads=0 if ring_bytes is None else 8) as scene:
        for _ in range(20):
            scene.send(20)  # less than the ring
        scene.wait_until_delivered()
        before = figures(os.getpid()).resident_bytes
        with scene.producer.sending(_RATE):
            with (
                scene.sidecar.stopped(),
                watched(lambda: figures(os.getpid()).resident_bytes) as resident,
                watched(lambda: scene.producer.ring_bytes) as ring,
            ):
                time.sleep(seconds(60, 4))  # the fault lasts as long
            stopwatch, back = Stopwatch(scene.sidecar.pid), scene.run.issued
            wait_for(lambda: scene.ledger.latest(scene.run) >= back, 60, "a request of after the stop is delivered")
            took = stopwatch.read()
        scene.producer.wait_until_acknowledged()
        scene.wait_until_delivered(scene.run.issued - scene.producer.given_up)

        assert_untraced_exactly(scene.producer, scene.ledger)
        assert scene.sidecar.books(scene.destination).balance
        assert scene.producer.slowest_call_s < _FELT_SECONDS
        assert bool(scene.producer.given_up) == (ring_bytes is not None)
        assert took <= _BACK_SECONDS + pause_s
        assert max(ring) <= (ring_bytes or MAX_RING_BYTES)
        assert max(resident) - before <= max(ring) * _FRAME_COST + _IDLE_BYTES, (before, resident)


def _nothing(_path: Path) -> None:
    pass


def _stale_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


@pytest.mark.parametrize("obstacle", [_nothing, _stale_socket], ids=["missing", "stale"])
def test_the_socket_is_not_there(
    start_scene: StartScene, caplog: pytest.LogCaptureFixture, pause_s: float, obstacle: Callable[[Path], None]
) -> None:
    """Fault 3: without a sidecar requests are kept, one warning is written, and all arrive when there is one."""
    with start_scene(start=False) as scene, caplog.at_level(logging.WARNING, _EMITTER):

        def said() -> list[str]:
            return [record.message for record in caplog.records if record.name == _EMITTER]

        scene.sidecar.socket.parent.mkdir(mode=0o700)
        obstacle(scene.sidecar.socket)
        with scene.producer.sending(100):
            wait_for(said, 30, "it is said that the sidecar is missing")
            scene.sidecar.start()
            stopwatch, first = Stopwatch(scene.sidecar.pid), scene.run.issued
            wait_for(lambda: scene.producer.acknowledged.stop >= first, 60, "everything so far is acknowledged")
            took = stopwatch.read()

        scene.assert_conserved(max_repeated=0)
        assert len(said()) == 1
        assert took <= 1.0 + pause_s
        assert scene.producer.slowest_call_s < _FELT_SECONDS


def test_a_file_is_at_the_sockets_path(start_scene: StartScene) -> None:
    """Fault 3: a regular file is not overwritten: the sidecar says so and ends with 2; requests wait meanwhile."""
    with start_scene(start=False) as scene:
        scene.sidecar.socket.parent.mkdir(mode=0o700)
        scene.sidecar.socket.write_text("precious")
        scene.producer.send(10)
        scene.sidecar.launch()
        code = scene.sidecar.wait()

        assert code == 2
        assert "is not a socket" in scene.sidecar.log()
        assert scene.sidecar.socket.read_text() == "precious"

        scene.sidecar.socket.unlink()
        scene.sidecar.start()
        scene.assert_conserved(max_repeated=0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_somebody_else_listens(start_scene: StartScene, folder: Path) -> None:
    """Fault 3: nothing is told to a process of another user that listens at the path; the rightful one gets it all."""
    run = folder / "run"
    run.mkdir()
    for parent in (run, *run.parents):  # the folder would keep anybody else out; this is about the check behind it
        if parent.stat().st_uid == 0 and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    run.chmod(0o777)
    with start_scene(start=False) as scene:
        path = scene.sidecar.socket
        impostor = subprocess.Popen([shutil.which("python3") or sys.executable, "-c", _LISTENER, str(path)])
        try:
            wait_for(lambda: path.exists() and accepts(str(path)), 60, "the impostor listens")
            scene.producer.send(10)
            for _ in range(5):
                scene.producer.pump()
                time.sleep(0.1)  # several attempts to connect are the test's input
            kept = scene.producer.kept
        finally:
            impostor.kill()
            impostor.wait()
        run.chmod(0o700)
        scene.sidecar.start()

        assert kept == 10
        scene.assert_conserved(max_repeated=0)
