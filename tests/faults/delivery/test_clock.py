"""The wall clock jumps, or the machine was asleep. The clock is a double: the C library's answers are moved."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.client import fetch
from e2e.waiting import wait_for
from faults.delivery.issue import Run
from faults.delivery.libc_double import LibcDouble
from faults.delivery.oracle import settle
from faults.delivery.scene import Scene, StartScene
from faults.delivery.stalls import Stopwatch

pytestmark = pytest.mark.timeout(3600)

Seconds = Callable[[float, float], float]

_STALL_SECONDS = 10.0
_HOUR, _YEAR = 3600.0, 365.25 * 86_400
_TO_2038 = 2_147_483_640 - 1_795_327_875  # some seconds before 32 bits end, from the time of the records


@pytest.mark.parametrize("max_retry_time", [0, 3600], ids=["for ever", "for an hour"])
def test_the_clock_jumps(start_scene: StartScene, folder: Path, max_retry_time: int) -> None:
    """Fault 24: jumps of an hour, of ten years, over 2038, there and back: nothing stalls and nothing expires by them.

    Each jump comes once while spans wait for a collector that is away, and once while they flow. Nothing that is shown
    as a duration is ever less than nothing.
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
                assert_no_negative_duration(scene)
        scene.producer.wait_until_acknowledged()
        scene.wait_until_delivered()
        scene.relay.refuse()
        for jump in (600.0, *jumps):  # the first is seen on a machine that was asleep
            scene.send(10)
            double.jump(jump)
            assert_no_negative_duration(scene)
        scene.relay.listen()

        # An attempt that a jump met may have been given up after it had arrived.
        scene.assert_conserved(faults=len(jumps))
        assert slowest <= _STALL_SECONDS


@pytest.mark.parametrize("ppm", [500, -500, 100_000, -100_000])
def test_the_clock_is_slewed(start_scene: StartScene, folder: Path, seconds: Seconds, ppm: int) -> None:
    """Fault 24: a clock that is corrected slowly, fast or slow, delays nothing and expires nothing.

    The kernel allows NTP 500 parts in a million (adjtimex(2)), chrony uses at most 100,000.
    """
    double = LibcDouble(folder, folder / "spool")
    batches = {"timeout": 1000, "send_batch_size": 512, "max_retry_time": 3600}
    with start_scene(sidecar={"environment": double.environment}, batch_export=batches) as scene:
        scene.send(1)
        scene.wait_until_delivered()
        slowest, until = 0.0, time.monotonic() + seconds(60, 3)
        with double.slewed(ppm), scene.producer.sending(20):
            while time.monotonic() < until:
                stopwatch, number = Stopwatch(scene.sidecar.pid), scene.run.issued
                wait_for(lambda: scene.ledger.has(scene.run, number), 60, "it arrives")  # noqa: B023
                slowest = max(slowest, stopwatch.read())
                assert_no_negative_duration(scene)

        scene.assert_conserved(max_repeated=0)
        assert slowest <= _STALL_SECONDS


@pytest.mark.parametrize("jump", [_HOUR, -_HOUR, 10 * _YEAR, -10 * _YEAR, float(_TO_2038 + 60)])
def test_time_in_the_spool_is_not_the_walls(start_scene: StartScene, folder: Path, jump: float) -> None:
    """Fault 24: a sidecar that starts with a clock years or an hour off, before or after, gives up nothing."""
    double = LibcDouble(folder, folder / "spool")
    batches = {"timeout": 1000, "send_batch_size": 512, "max_retry_time": 600}
    with start_scene(sidecar={"environment": double.environment}, batch_export=batches) as scene:
        scene.relay.refuse()
        for there_and_back in (jump, -jump):
            scene.send(10)
            scene.sidecar.kill()
            double.jump(there_and_back)
            scene.sidecar.start()
            assert_no_negative_duration(scene)
        scene.send(10)
        scene.relay.listen()
        stopwatch = Stopwatch(scene.sidecar.pid)

        scene.assert_conserved(max_repeated=0)
        assert stopwatch.read() <= _STALL_SECONDS


def test_the_clock_jumped_during_a_request(start_scene: StartScene) -> None:
    """Fault 24: a request that ended before it began, by Kong's clock, is a span of no negative duration."""
    with start_scene() as scene:
        scene.send(1)
        for changed in (
            {"request": -3_600_000, "kong": 6, "proxy": -3_600_006, "receive": 1},
            {"request": 0, "kong": 6},
        ):
            run = Run(scene.run.name + (1 << 29))
            record = json.loads(run.log(0)) | {"latencies": changed}
            scene.producer.emitter.submit(scene.producer.origin, json.dumps(record).encode())
            scene.producer.wait_until_acknowledged()
        settle(scene.sidecar, [scene.producer], scene.destination, 60)

        assert len(scene.ledger.faults) == 4, "the spans of no run"
        assert scene.ledger.shortest_ns >= 0


def assert_no_negative_duration(scene: Scene) -> None:
    """Read the reports about the destinations, and the spans."""
    status = json.loads(fetch(scene.sidecar.url, "/delivery").text())
    shown = {
        name: value
        for destination in status["destinations"]
        for name, value in destination.items()
        if name.endswith("_s") and value is not None
    }

    assert min(shown.values(), default=0) >= 0, shown
    assert scene.ledger.shortest_ns >= 0
