"""The wall clock jumps, or the machine was asleep. The clock is a double: the C library's answers are moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.waiting import wait_for
from faults.delivery.libc_double import LibcDouble
from faults.delivery.scene import StartScene
from faults.delivery.stalls import Stopwatch

pytestmark = pytest.mark.timeout(3600)

_HOUR, _YEAR = 3600.0, 365.25 * 86_400
_TO_2038 = 2_147_483_640 - 1_795_327_875  # some seconds before 32 bits end, from the time of the records


@pytest.mark.parametrize("max_retry_time", [0, 3600], ids=["for ever", "for an hour"])
def test_the_clock_jumps(start_scene: StartScene, folder: Path, max_retry_time: int) -> None:
    """Fault 24: jumps of an hour, of ten years, over 2038, there and back: nothing stalls and nothing expires by them.

    Each jump comes once while spans wait for a collector that is away, and once while they flow.
    """
    double = LibcDouble(folder, folder / "spool")
    batches = {"timeout": 1000, "send_batch_size": 512, "max_retry_time": max_retry_time}
    jumps = [_HOUR, -_HOUR, -_HOUR, _HOUR, 10 * _YEAR, -20 * _YEAR, 10 * _YEAR, float(_TO_2038), 60.0]
    with start_scene(sidecar={"environment": double.environment}, batch_export=batches) as scene:
        scene.send(1)
        scene.wait_until_delivered()
        slowest = 0.0
        with scene.producer.sending(20):  # few enough that batches are sent for their age
            for jump in jumps:
                double.jump(jump)
                stopwatch, number = Stopwatch(scene.sidecar.pid), scene.run.issued
                wait_for(lambda: scene.ledger.has(scene.run, number), 60, f"it arrives after {jump:.0f} s")  # noqa: B023
                slowest = max(slowest, stopwatch.read())
        scene.producer.wait_until_acknowledged()
        scene.wait_until_delivered()
        scene.relay.refuse()
        for jump in (600.0, -_YEAR, _YEAR):  # the first is what a machine that was asleep sees
            scene.send(10)
            double.jump(jump)
        scene.relay.listen()

        # An attempt that a jump met may have been given up after it had arrived.
        scene.assert_conserved(faults=len(jumps))
        assert slowest <= 10.0


def test_time_in_the_spool_is_not_the_walls(start_scene: StartScene, folder: Path) -> None:
    """Fault 24: a sidecar that starts with a clock an hour off, before or after, gives up nothing that waits."""
    double = LibcDouble(folder, folder / "spool")
    batches = {"timeout": 100, "send_batch_size": 512, "max_retry_time": 600}
    with start_scene(sidecar={"environment": double.environment}, batch_export=batches) as scene:
        scene.relay.refuse()
        for jump in (-_HOUR, -_HOUR):
            scene.send(10)
            scene.sidecar.kill()
            double.jump(jump)
            scene.sidecar.start()
        scene.relay.listen()

        scene.assert_conserved(max_repeated=0)
