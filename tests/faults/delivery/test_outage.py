"""The collector is away, hangs, or is slow."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from e2e.waiting import wait_for
from faults.delivery.issue import SPANS_A_REQUEST, Run
from faults.delivery.ledger import Ledger
from faults.delivery.oracle import assert_conserved, settle
from faults.delivery.producer import Producer
from faults.delivery.receiver import OK, Answer, Receiver
from faults.delivery.resources import watched
from faults.delivery.scene import StartScene, entry
from faults.delivery.small_disk import small_disk
from faults.delivery.stalls import Stopwatch
from otlp_tracing.sidecar.export.exporter import CONCURRENT_REQUESTS

pytestmark = pytest.mark.timeout(3600)

_MAX_RESIDENT_BYTES = 128 << 20
_BACK_SECONDS = 15.0  # an outage must be noticed to be over within that
_LARGE = 1 << 30

Seconds = Callable[[float, float], float]


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_the_collector_is_away(
    start_scene: StartScene,
    seconds: Seconds,
    http: bool,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Fault 9: an outage loses nothing, takes 128 MiB at most, and is made up at five times the pace of the load."""
    rate = int(pytestconfig.getoption("--fault-rate"))
    batches = {"timeout": 1000, "send_batch_size": 512, "spool_max_bytes": _LARGE}
    with start_scene(http=http, batch_export=batches) as scene:
        scene.send(1)
        scene.wait_until_delivered()
        with watched(lambda: scene.sidecar.figures().resident_bytes) as resident, scene.producer.sending(rate):
            scene.relay.refuse()
            # As long as the fault lasts: waiting spans are two seconds of work at the lowest rate that is allowed.
            time.sleep(seconds(600, 10))
            arrived = scene.ledger.distinct()
            scene.relay.listen()
            stopwatch = Stopwatch(scene.sidecar.pid)
            wait_for(lambda: scene.ledger.distinct() > arrived, 60, "deliveries begin again")
            back, stopwatch = stopwatch.read(), Stopwatch(scene.sidecar.pid)
            wait_for(
                lambda: scene.sidecar.books(scene.destination).waiting <= 2 * rate * SPANS_A_REQUEST,
                seconds(600, 30),
                f"what waited is delivered; {scene.sidecar.books(scene.destination)}",
            )
            drained = (scene.ledger.distinct() - arrived) / max(stopwatch.read(), 0.01)
        with capsys.disabled():
            print(
                f"\n  {scene.run.issued} requests at {rate}/s: back after {back:.1f} s, drained at "
                f"{drained:.0f} spans/s ({drained / rate / SPANS_A_REQUEST:.1f} times the load), "
                f"at most {max(resident) >> 20} MiB"
            )

        scene.assert_conserved()
        assert max(resident) <= _MAX_RESIDENT_BYTES
        assert back <= _BACK_SECONDS
        assert drained >= 5 * rate * SPANS_A_REQUEST
        assert scene.producer.slowest_call_s < 0.25


def test_the_spool_is_full(start_scene: StartScene, seconds: Seconds) -> None:
    """Fault 10: past its bound the spool gives up the oldest traces, whole, counts each span, and holds the bound."""
    bound = int(seconds(64, 4)) << 20
    # SQLite's log of writes, four mebibytes, and records that come at once, in the log and before room was made.
    slack = max(bound // 4, 6 << 20)
    at_once = 500
    batches = {"timeout": 200, "send_batch_size": 512, "spool_max_bytes": bound}
    with start_scene(batch_export=batches) as scene, watched(scene.sidecar.spool_bytes) as taken:
        scene.relay.refuse()
        while not sum(scene.sidecar.books(scene.destination).dropped.values()):
            scene.send(at_once)
        for _ in range(scene.run.issued // 2 // at_once):
            scene.send(at_once)
        scene.relay.listen()
        settle(scene.sidecar, [scene.producer], scene.destination, 60)
        books = scene.sidecar.books(scene.destination)
        delivered = scene.ledger.delivered(scene.run)
        # One attempt at a time tests whether the collector is back. Its spans are not given up to make room.
        oldest = _since_a_gap(delivered)
        in_hand = {place for place in delivered if place < oldest}

        assert {reason for reason, spans in books.dropped.items() if spans} == {"spool_full"}
        assert_conserved(
            scene.sidecar, [scene.producer], scene.ledger, scene.destination, given_up=sum(books.dropped.values())
        )
        assert delivered - in_hand == set(range(oldest, scene.run.issued * SPANS_A_REQUEST)), "the oldest go first"
        assert len(in_hand) <= 512, "the oldest go first"
        assert all(place ^ 1 in delivered for place in delivered), "a trace goes whole"
        assert max(taken) <= bound + slack


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_small_volume_is_never_full(
    start_scene: StartScene,
    folder: Path,
    seconds: Seconds,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Fault 10: without a setting the spool keeps to a fifth of its volume; everything else is counted as dropped."""
    rate = int(pytestconfig.getoption("--fault-rate"))
    volume = int(seconds(256, 16)) << 20
    write_ahead_log = 6 << 20  # four mebibytes, and records that come at once
    with (
        small_disk(folder / "disk", str(volume)) as disk,
        start_scene(sidecar={"spool": disk / "spool"}, batch_export={"timeout": 1000}) as scene,
        watched(lambda: shutil.disk_usage(disk).used) as taken,
    ):
        scene.relay.refuse()
        with scene.producer.sending(rate):
            time.sleep(seconds(600, 10))  # the fault lasts as long
            wait_for(
                lambda: sum(scene.sidecar.books(scene.destination).dropped.values()), 600, "the spool is at its bound"
            )
        scene.producer.wait_until_acknowledged()
        assert not scene.sidecar.is_degraded
        scene.relay.listen()
        settle(scene.sidecar, [scene.producer], scene.destination, 60)
        dropped = {reason: spans for reason, spans in scene.sidecar.books(scene.destination).dropped.items() if spans}
        with capsys.disabled():
            most, size = max(taken) >> 20, volume >> 20
            print(f"\n  {scene.run.issued} requests at {rate}/s: at most {most} of {size} MiB, {dropped}")

        assert dropped.keys() == {"spool_full"}
        assert_conserved(
            scene.sidecar, [scene.producer], scene.ledger, scene.destination, given_up=sum(dropped.values())
        )
        assert max(taken) <= volume // 5 + write_ahead_log


def _since_a_gap(places: set[int]) -> int:
    """Return the first place from which on there is every one up to the last."""
    place = max(places)
    while place - 1 in places:
        place -= 1
    return place


def test_the_collector_hangs(start_scene: StartScene, seconds: Seconds, pause_s: float) -> None:
    """Fault 11: a collector that accepts and never answers is given ten seconds an attempt; another notices nothing."""
    other_run = Run((1 << 30) + 1)
    with start_scene() as scene, Receiver(Ledger(other_run)) as other:
        neighbour = Producer(scene.sidecar.socket, other_run, entry(other.endpoint, other_run))
        scene.receiver.script.default = Answer(hang=True)
        until = time.monotonic() + seconds(300, 12)
        slowest = 0.0
        while time.monotonic() < until or not scene.receiver.broken_off_after_s:
            assert time.monotonic() < until + 60, "no attempt was given up"
            scene.send(10)
            neighbour.send(10)
            stopwatch = Stopwatch(scene.sidecar.pid)
            spans = other_run.issued * SPANS_A_REQUEST
            neighbour.wait_until_acknowledged()
            wait_for(lambda: other.ledger.distinct() >= spans, 60, "the neighbour's arrive")  # noqa: B023
            slowest = max(slowest, stopwatch.read())
        broken_off = list(scene.receiver.broken_off_after_s)
        scene.receiver.release()

        scene.assert_conserved()
        settle(scene.sidecar, [neighbour], other.endpoint, 60)
        assert_conserved(scene.sidecar, [neighbour], other.ledger, other.endpoint, max_repeated=0)
        assert max(broken_off) <= 11.0 + pause_s
        assert slowest <= 2.0 + pause_s
        neighbour.close()


def test_the_collector_is_slow(start_scene: StartScene, seconds: Seconds) -> None:
    """Fault 12: answers that take a second, one in twenty an error: requests at once keep up with the load."""
    rate, size = 170, 100  # 3.4 batches a second, where three at a time would carry three, less the errors
    batches = {"timeout": 1000, "send_batch_size": size}
    unavailable = Answer(grpc.StatusCode.UNAVAILABLE, delay_s=1.0)
    with start_scene(batch_export=batches) as scene:
        scene.receiver.script.choose = lambda _metadata, _spans: (
            unavailable if scene.receiver.calls % 20 == 19 else Answer(delay_s=1.0)
        )
        with scene.producer.sending(rate):
            time.sleep(seconds(120, 8))  # the fault lasts as long
            waiting = scene.sidecar.books(scene.destination).waiting
        at_once = scene.receiver.most_at_once
        scene.receiver.script.choose = None
        scene.receiver.script.default = OK

        scene.assert_conserved()
        assert at_once == CONCURRENT_REQUESTS
        assert waiting <= 5 * rate * SPANS_A_REQUEST, "it falls behind"
