"""Too few descriptors, too little memory, hardly any CPU, too many connections."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.waiting import wait_for
from faults.delivery.memory_cgroup import bounded
from faults.delivery.scene import Scene, StartScene
from load.process_figures import cpu_seconds

pytestmark = pytest.mark.timeout(3600)

Seconds = Callable[[float, float], float]

_FELT_SECONDS = 0.25
_MEMORY_BYTES = 96 << 20


@contextlib.contextmanager
def _connections(scene: Scene, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(scene.sidecar.socket))  # waits for its turn where many wait to be accepted
            opened.append(connection)
        yield opened


def _endure(scene: Scene, lasting: float) -> None:
    """Start the sidecar again whenever it has died of the scarce resource."""
    until = time.monotonic() + lasting
    while time.monotonic() < until:
        time.sleep(0.2)
        if not scene.sidecar.alive:
            scene.sidecar.start()


def _deliver(scene: Scene) -> None:
    """Let the collector come back, and wait until all is delivered, by a sidecar that may die of that, too."""
    scene.relay.listen()

    def done() -> bool:
        if not scene.sidecar.alive:
            scene.sidecar.start()
        scene.producer.pump()
        with contextlib.suppress(OSError, IndexError, ValueError):  # it died while it answered
            return not scene.producer.kept and not scene.sidecar.books(scene.destination).waiting
        return False

    wait_for(done, 120, f"everything is delivered\n{scene.sidecar.tail()}")


def test_descriptors_run_out(scene: Scene) -> None:
    """Fault 26: with 64 descriptors and no more, connected processes are served, nothing spins, and it passes."""
    scene.send(100)
    scene.wait_until_delivered()
    resource.prlimit(scene.sidecar.pid, resource.RLIMIT_NOFILE, (64, 64))
    with scene.producer.sending(100):
        with _connections(scene, 100):
            wait_for(lambda: scene.sidecar.figures().descriptors >= 60, 60, "the descriptors run out")
            scene.relay.reset()  # the way to the collector has to be opened again
            used, begun = cpu_seconds(scene.sidecar.pid), time.monotonic()
            time.sleep(3)  # the fault lasts as long
            used = (cpu_seconds(scene.sidecar.pid) - used) / (time.monotonic() - begun)
        number = scene.run.issued
        wait_for(lambda: scene.ledger.has(scene.run, number), 60, "later requests are delivered")
    scene.producer.close()
    scene.send(10)

    scene.assert_conserved()
    assert scene.producer.slowest_call_s < _FELT_SECONDS
    assert used <= 0.6


def test_many_connections(scene: Scene, seconds: Seconds) -> None:
    """Fault 26: ten thousand connections (fewer in the quick form) take no service away, and leave nothing behind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(int(seconds(10_000, 1000)), hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + 500)), hard))
    scene.send(100)
    scene.wait_until_delivered()
    before = scene.sidecar.figures()
    with scene.producer.sending(100):
        with _connections(scene, count):
            number = scene.run.issued
            wait_for(lambda: scene.ledger.has(scene.run, number), 60, "requests are delivered meanwhile")
        wait_for(lambda: scene.sidecar.figures().descriptors <= before.descriptors + 2, 60, "all are closed")

    scene.assert_conserved()
    assert scene.producer.slowest_call_s < _FELT_SECONDS
    assert scene.sidecar.figures().resident_bytes - before.resident_bytes <= 64 << 20


def test_memory_is_short(start_scene: StartScene, seconds: Seconds) -> None:
    """Fault 26: in 96 MiB, with its collector away, it lives, or is killed and loses nothing acknowledged."""
    with bounded(_MEMORY_BYTES) as join, start_scene(sidecar={"started": join}) as scene:
        scene.relay.refuse()
        with scene.producer.sending(500):
            _endure(scene, seconds(300, 5))
        _deliver(scene)

        scene.assert_conserved()


def test_address_space_is_short(start_scene: StartScene, seconds: Seconds) -> None:
    """Fault 26: when no memory is given out any more it continues, or starts again, and loses nothing."""
    with start_scene() as scene:
        scene.send(100)
        scene.wait_until_delivered()
        scene.relay.refuse()
        size = int(Path(f"/proc/{scene.sidecar.pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(scene.sidecar.pid, resource.RLIMIT_AS, (size + (4 << 20), resource.RLIM_INFINITY))
        with scene.producer.sending(500):
            _endure(scene, seconds(60, 4))
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(scene.sidecar.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        _deliver(scene)

        scene.assert_conserved()


def test_hardly_any_cpu(scene: Scene, seconds: Seconds) -> None:
    """Fault 26: with a twentieth of a core records wait in the ring and arrive later, and no request waits.

    The quota is a double: the process is stopped 95 of every 100 ms.
    """
    stop = threading.Event()

    def throttle() -> None:
        while not stop.is_set():
            scene.sidecar.signal(signal.SIGSTOP)
            time.sleep(0.095)
            scene.sidecar.signal(signal.SIGCONT)
            time.sleep(0.005)

    thread = threading.Thread(target=throttle, daemon=True)
    with scene.producer.sending(300):
        thread.start()
        time.sleep(seconds(60, 4))  # the fault lasts as long
        stop.set()
        thread.join()

    scene.assert_conserved()
    assert scene.producer.slowest_call_s < _FELT_SECONDS
