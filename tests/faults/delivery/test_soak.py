"""One fault after the other, in an order that is drawn, on a sidecar that is never given a rest."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import grpc
import pytest

from e2e.waiting import wait_for
from faults.delivery.receiver import OK, Answer
from faults.delivery.scene import Scene, StartScene
from load.process_figures import Figures

pytestmark = pytest.mark.timeout(90_000)

_RATE = 300
_RECOVERED_SECONDS = 60.0
_SETTLED_ROUNDS = 3  # after this many, all allocations at first use have happened


def _kill(scene: Scene, _lasting: float) -> None:
    scene.sidecar.kill()
    scene.sidecar.start()


def _restart(scene: Scene, _lasting: float) -> None:
    scene.sidecar.terminate()
    scene.sidecar.start()


def _stop(scene: Scene, lasting: float) -> None:
    with scene.sidecar.stopped():
        time.sleep(lasting)


def _refuse(scene: Scene, lasting: float) -> None:
    scene.relay.refuse()
    time.sleep(lasting)
    scene.relay.listen()


def _kill_while_away(scene: Scene, lasting: float) -> None:
    scene.relay.refuse()
    time.sleep(lasting)
    scene.sidecar.kill()
    scene.sidecar.start()
    scene.relay.listen()


def _forget_connections(scene: Scene, _lasting: float) -> None:
    scene.relay.freeze()


def _reset(scene: Scene, lasting: float) -> None:
    for _ in range(5):
        scene.relay.reset()
        time.sleep(lasting / 5)


def _hang(scene: Scene, lasting: float) -> None:
    scene.receiver.script.default = Answer(hang=True)
    time.sleep(lasting)
    scene.receiver.release()


def _unavailable(scene: Scene, lasting: float) -> None:
    scene.receiver.script.default = Answer(grpc.StatusCode.UNAVAILABLE, retry_after_s=1.0)
    time.sleep(lasting)
    scene.receiver.script.default = OK


def _overloaded(scene: Scene, lasting: float) -> None:
    scene.receiver.script.default = Answer(delay_s=0.5)
    time.sleep(lasting)
    scene.receiver.script.default = OK


def _restart_collector(scene: Scene, lasting: float) -> None:
    scene.receiver.stop()
    time.sleep(lasting)
    scene.receiver.start()


FAULTS: tuple[Callable[[Scene, float], None], ...] = (
    *(_kill, _restart, _stop, _refuse, _kill_while_away, _forget_connections, _reset, _hang, _unavailable),
    *(_overloaded, _restart_collector),
)


def test_one_fault_after_another(
    start_scene: StartScene, rounds: int, seconds: Callable[[float, float], float]
) -> None:
    """Fault after fault under load loses nothing, and leaves no threads, descriptors or memory behind.

    Each fault is drawn, lasts a while, and has to be recovered from before the next. Between them a life without a
    kill is held against its first minutes.
    """
    source = random.Random()
    seed = source.randrange(1 << 32)
    source.seed(seed)
    print(f"seed {seed}")
    lasting = seconds(30, 1)
    seen: list[Figures] = []
    with start_scene(batch_export={"timeout": 200, "send_batch_size": 512}) as scene:
        with scene.producer.sending(_RATE):
            for _ in range(rounds):
                fault = source.choice(FAULTS)
                print(f"{time.strftime('%H:%M:%S')} {fault.__name__.strip('_').replace('_', ' ')}")
                pid = scene.sidecar.pid
                fault(scene, lasting)
                number = scene.run.issued
                wait_for(
                    lambda: scene.ledger.has(scene.run, number),  # noqa: B023 - called in this round
                    _RECOVERED_SECONDS,
                    f"requests are delivered after {fault.__name__}, seed {seed}",
                )
                if scene.sidecar.pid != pid:
                    seen.clear()
                seen.append(scene.sidecar.figures())

        scene.assert_conserved(faults=rounds)
        assert scene.producer.slowest_call_s < 0.25
        if len(seen) > _SETTLED_ROUNDS:
            first, last = seen[_SETTLED_ROUNDS], seen[-1]
            assert last.threads <= first.threads + 4
            assert last.descriptors <= first.descriptors + 8
            assert last.resident_bytes <= first.resident_bytes + (32 << 20)
