"""Producer, sidecar and receiver together: the system that a fault hits."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.waiting import wait_for
from faults.delivery.issue import SPANS_A_REQUEST, Run
from faults.delivery.ledger import Ledger
from faults.delivery.oracle import MAX_REPEATED, assert_conserved, settle
from faults.delivery.producer import Producer
from faults.delivery.receiver import Receiver
from faults.delivery.relay import Relay
from faults.delivery.sidecar import Sidecar

StartScene = Callable[..., contextlib.AbstractContextManager["Scene"]]

_SETTLE_SECONDS = 60.0  # the longest wait between two attempts, and some
_run_names = itertools.count(1)


def entry(endpoint: str, run: Run, **fields: Any) -> dict[str, Any]:
    """Return a plugin entry's configuration that sends small batches soon."""
    return {
        "endpoint": endpoint,
        "compression": "none",
        "batch_export": {"timeout": 100, "send_batch_size": 512},
        "capture": {"request_headers": run.captured_headers},
        **fields,
    }


@dataclass
class Scene:
    """One destination and the way to it; `relay` is between sidecar and receiver."""

    folder: Path
    run: Run
    ledger: Ledger
    receiver: Receiver
    relay: Relay
    sidecar: Sidecar
    producer: Producer
    destination: str

    def send(self, requests: int) -> None:
        """Hand requests over and wait until they are acknowledged."""
        self.producer.send(requests)
        self.producer.wait_until_acknowledged()

    def wait_until_delivered(self, requests: int | None = None, seconds: float = _SETTLE_SECONDS) -> None:
        """Wait until the spans of so many requests have arrived; unless said, of all, and the sidecar knows."""
        spans = SPANS_A_REQUEST * (self.run.issued if requests is None else requests)
        wait_for(
            lambda: self.ledger.distinct() >= spans,
            seconds,
            f"{spans} spans arrive; {self.ledger.distinct()} have at first\n{self.sidecar.tail()}",
        )
        if requests is None:
            # An answer that is still on its way is lost with the connection that the test may break next.
            wait_for(lambda: not self.sidecar.books(self.destination).waiting, seconds, "the sidecar knows it")

    def assert_conserved(
        self,
        seconds: float = _SETTLE_SECONDS,
        max_repeated: float = MAX_REPEATED,
        given_up: int = 0,
        faults: int = 1,
    ) -> None:
        """Wait until nothing is on its way, and let the oracle judge."""
        settle(self.sidecar, [self.producer], self.destination, seconds)
        assert_conserved(
            self.sidecar,
            [self.producer],
            self.ledger,
            self.destination,
            max_repeated=max_repeated,
            given_up=given_up,
            faults=faults,
        )

    def wait_until_noted(self) -> None:
        """Wait until the disk, too, has recorded the deliveries, so that a kill from then on repeats no span.

        A delivered row is deleted with the spool's next transaction. A span that is acknowledged now was written after
        that. It waits for a collector that is away until the test lets it `listen` again.
        """
        self.relay.refuse()
        self.send(1)


@contextlib.contextmanager
def scenes(
    folder: Path,
    *,
    pads: int = 0,
    http: bool = False,
    receiver_options: tuple[tuple[str, int], ...] = (),
    sidecar: Mapping[str, Any] | None = None,
    start: bool = True,
    ring_bytes: int | None = None,
    **fields: Any,
) -> Iterator[Scene]:
    """Start a scene.

    Args:
        folder: an empty one with a short path.
        pads: captured headers of 1,000 letters a request.
        http: OTLP over HTTP instead of gRPC.
        receiver_options: gRPC server arguments.
        sidecar: arguments of Sidecar.
        start: start the sidecar; False leaves that to the test.
        ring_bytes: bound of the emitter's ring.
        fields: of the plugin entry.
    """
    run = Run(next(_run_names), pads)
    ledger = Ledger(run)
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(Receiver(ledger, receiver_options))
        relay = stack.enter_context(Relay(receiver.http_port if http else receiver.port))
        process = Sidecar(folder, **(sidecar or {}))
        stack.callback(process.close)
        if start:
            process.start()
        if http:
            fields["protocol"] = "http/protobuf"
        config = entry(relay.endpoint, run, **fields)
        ring = {} if ring_bytes is None else {"max_ring_bytes": ring_bytes}
        producer = Producer(process.socket, run, config, **ring)
        stack.callback(producer.close)
        try:
            yield Scene(folder, run, ledger, receiver, relay, process, producer, relay.endpoint)
        except BaseException:
            print(process.tail())
            raise
