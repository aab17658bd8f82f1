"""The sidecar's process ends in many ways, and the next one delivers all acknowledged spans."""

from __future__ import annotations

import random
import statistics
import time

import pytest

from e2e.waiting import wait_for
from faults.delivery.issue import SPANS_A_REQUEST
from faults.delivery.receiver import Answer
from faults.delivery.scene import Scene
from faults.delivery.stalls import START_IMPORTS, import_seconds
from load.process_figures import cpu_seconds

pytestmark = pytest.mark.timeout(3600)

_FELT_SECONDS = 0.25  # the longest time that Kong waits for an answer
_GRACE_SECONDS = 10.0  # the time that Kong gives a plugin server between SIGTERM and SIGKILL
_RATE = 500
_REPEATED = 0.2  # of the delivered spans, with a kill every two seconds; 0.04 to 0.08 are usual
_START_SECONDS = 1.0


def test_the_sidecar_is_killed_again_and_again(scene: Scene, rounds: int, pause_s: float) -> None:
    """Fault 1: SIGKILL at any moment loses no request, acknowledged or not; it serves again within seconds.

    Each start does, from the fork to the answer that it takes records and has its spool. Its CPU time is compared with
    that of the import of its libraries, because a second is little on one machine and much on another.
    """
    source = random.Random(1)
    late, costs = [], []
    with scene.producer.sending(_RATE):
        for _ in range(rounds):
            time.sleep(source.uniform(0.2, 3.0))  # the moment of the kill is the test's input
            scene.sidecar.kill()
            took, cost = scene.sidecar.start(), cpu_seconds(scene.sidecar.pid)
            imports = import_seconds()
            late.append(took - max(_START_SECONDS, START_IMPORTS * imports))
            costs.append(cost / imports)

    # After each start the load of a second is under way: what came meanwhile, and was answered when the next kill came.
    scene.assert_conserved(faults=rounds, max_repeated=_REPEATED)
    assert max(late) <= pause_s, late
    # Of two rounds the lower counts: other work on the machine makes a start dearer, never cheaper.
    assert statistics.median_low(costs) <= START_IMPORTS, costs
    assert scene.producer.slowest_call_s < _FELT_SECONDS


def test_the_sidecar_is_killed_while_nobody_takes_anything(scene: Scene, rounds: int) -> None:
    """Fault 1: spans that several lives have left in the spool are restored by each, and delivered once by the last."""
    scene.relay.refuse()
    for life in range(rounds):
        scene.send(200)
        scene.sidecar.kill()
        scene.sidecar.start()
        books = scene.sidecar.books(scene.destination)

        assert books.restored == (life + 1) * 200 * SPANS_A_REQUEST
        assert books.balance
    scene.relay.listen()

    scene.assert_conserved(max_repeated=0)


def test_a_killed_sidecar_repeats_little(scene: Scene, rounds: int) -> None:
    """Fault 1: spans that the collector is known to have accepted are not sent again by the next life."""
    for _ in range(rounds):
        scene.send(2000)
        scene.wait_until_delivered()
        scene.wait_until_noted()
        scene.sidecar.kill()
        scene.relay.listen()
        scene.sidecar.start()

    scene.assert_conserved(max_repeated=0)


@pytest.mark.parametrize("collector", ["up", "down", "hung"])
def test_the_sidecar_is_asked_to_end(scene: Scene, collector: str, pause_s: float) -> None:
    """Fault 25: SIGTERM ends it within the grace time; it has delivered by then, or the next life does."""
    if collector == "down":
        scene.relay.refuse()
    elif collector == "hung":
        scene.receiver.script.default = Answer(hang=True)
    with scene.producer.sending(_RATE):
        wait_for(lambda: scene.producer.acknowledged.stop >= _RATE, 60, "a second's load is acknowledged")
        took = scene.sidecar.terminate()
    acknowledged = scene.producer.acknowledged
    if collector == "up":
        assert scene.ledger.missing(scene.run, acknowledged) == []

    scene.relay.refuse()
    scene.relay.listen()
    scene.receiver.release()
    scene.sidecar.start()

    assert took <= _GRACE_SECONDS + pause_s
    scene.assert_conserved()
