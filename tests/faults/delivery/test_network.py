"""Faults of the network between sidecar and collector."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.ports import HOST
from e2e.waiting import wait_for
from faults.delivery.issue import SPANS_A_REQUEST
from faults.delivery.producer import Producer
from faults.delivery.relay import Relay
from faults.delivery.scene import StartScene, entry
from faults.delivery.stalls import Stopwatch

pytestmark = pytest.mark.timeout(3600)

Seconds = Callable[[float, float], float]


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_connections_go_silent(start_scene: StartScene, pause_s: float, http: bool) -> None:
    """Fault 13: a connection that the network has forgotten is left within 15 s for one that works; nothing is lost."""
    with start_scene(http=http) as scene:
        with scene.producer.sending(100):
            scene.wait_until_delivered(50)
            scene.relay.freeze()
            stopwatch, arrived = Stopwatch(scene.sidecar.pid), scene.run.issued
            wait_for(lambda: scene.ledger.has(scene.run, arrived + 10), 60, "a later request is delivered")
            took = stopwatch.read()

        scene.assert_conserved()
        assert took <= 15.0 + pause_s


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_connections_are_reset_all_the_time(start_scene: StartScene, seconds: Seconds, http: bool) -> None:
    """Fault 14: a RST every 100 ms loses nothing, and does not make the sidecar connect more than once a second."""
    lasting = seconds(60, 6)
    size = 512
    batches = {"timeout": 1000, "send_batch_size": size}  # frequent sending means frequent connecting, if necessary
    with start_scene(http=http, batch_export=batches) as scene:
        scene.send(1)
        scene.wait_until_delivered()
        before = scene.relay.accepted
        begun = time.monotonic()
        with scene.producer.sending(200):
            while time.monotonic() < begun + lasting:
                scene.relay.reset()
                time.sleep(0.1)  # the fault's interval
            connected, lasted = scene.relay.accepted - before, time.monotonic() - begun

        # An answer that a RST overtakes is an answer that never came: those spans come once more, rightly. Where an
        # answer takes longer than the interval, that is a batch for each connection.
        scene.assert_conserved(max_repeated=max(1.0, connected * size / (scene.run.issued * SPANS_A_REQUEST)))
        assert connected <= lasted + 2


def test_the_collector_ends_connections_by_age(start_scene: StartScene, seconds: Seconds) -> None:
    """Fault 14: a collector that says GOAWAY to every connection after a second or two loses nothing."""
    age = (("grpc.max_connection_age_ms", 1000), ("grpc.max_connection_age_grace_ms", 200))
    with start_scene(receiver_options=age) as scene:
        with scene.producer.sending(200):
            time.sleep(seconds(60, 5))  # the fault lasts as long
            wait_for(lambda: scene.relay.accepted >= 3, 60, "connections end")

        scene.assert_conserved(faults=scene.relay.accepted)


def test_only_pings_that_a_strict_server_takes(start_scene: StartScene, seconds: Seconds) -> None:
    """Fault 14: keepalive does not provoke a server that counts pings: an idle connection stays."""
    strict = (("grpc.http2.min_recv_ping_interval_without_data_ms", 300_000), ("grpc.http2.max_ping_strikes", 1))
    with start_scene(receiver_options=strict) as scene:
        scene.send(10)
        scene.wait_until_delivered()
        time.sleep(seconds(35, 6))  # idle; in full as long as three pings would be apart, the third of them too many
        scene.send(10)
        scene.wait_until_delivered()

        scene.assert_conserved(max_repeated=0)
        assert scene.relay.accepted == 1
        assert "too_many_pings" not in scene.sidecar.log()


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root has an /etc/hosts of its own"
)
@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_the_collectors_name_changes_its_meaning(start_scene: StartScene, folder: Path, http: bool) -> None:
    """Fault 20: a name not known at first, and then moved to another address, loses nothing and is followed in 30 s."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    script = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    own_hosts = ("unshare", "--mount", "sh", "-c", script, "sh")
    with start_scene(http=http, sidecar={"wrapper": own_hosts}) as scene:
        endpoint = f"http://collector.test:{scene.relay.port}"
        fields = {"protocol": "http/protobuf"} if http else {}
        producer = Producer(scene.sidecar.socket, scene.run, entry(endpoint, scene.run, **fields))
        scene.producer, scene.destination = producer, endpoint
        scene.send(10)
        wait_for(lambda: scene.sidecar.books(endpoint).waiting == 20, 30, "it waits for its collector")

        hosts.write_text(f"127.0.0.1 localhost\n{HOST} collector.test\n")
        stopwatch = Stopwatch(scene.sidecar.pid)
        scene.wait_until_delivered(seconds=60)
        first = stopwatch.read()

        with Relay(scene.receiver.http_port if http else scene.receiver.port, "127.0.0.2", scene.relay.port) as moved:
            hosts.write_text(f"127.0.0.1 localhost\n{moved.host} collector.test\n")
            scene.relay.refuse()
            stopwatch = Stopwatch(scene.sidecar.pid)
            scene.send(10)
            scene.wait_until_delivered(seconds=60)
            second = stopwatch.read()
            scene.assert_conserved()
            scene.producer.close()

        assert (first <= 30, second <= 30) == (True, True), (first, second)
