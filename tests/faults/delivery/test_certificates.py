"""Certificates end, are replaced, or are the wrong ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.certificates import Authority, Pair
from e2e.waiting import wait_for
from faults.delivery.issue import Run
from faults.delivery.ledger import Ledger
from faults.delivery.oracle import assert_conserved, settle
from faults.delivery.producer import Producer
from faults.delivery.receiver import Receiver, ServerTls
from faults.delivery.scene import entry
from faults.delivery.sidecar import Sidecar
from faults.delivery.stalls import Stopwatch

pytestmark = pytest.mark.timeout(3600)

_PICKED_UP_SECONDS = 60.0


@dataclass
class Secured:
    """A receiver that speaks TLS, and files that the sidecar takes its certificates from."""

    receiver: Receiver
    sidecar: Sidecar
    producer: Producer
    destination: str
    files: Path

    def write(self, authority: Authority, client: Pair) -> None:
        """Replace the files, each in one step, as tools that renew certificates do."""
        for name, text in (("ca", authority.certificate), ("cert", client.certificate), ("key", client.key)):
            new = self.files / f"{name}.new"
            new.write_text(text)
            new.rename(self.files / name)

    def send(self, requests: int) -> None:
        self.producer.send(requests)
        self.producer.wait_until_acknowledged()

    def assert_held(self, *said: str) -> None:
        """Assert that nothing arrives, nothing is given up, and the log says why.

        One line in ten seconds says so, and the first may be about a connection that was not there yet.
        """
        arrived = self.receiver.ledger.distinct()
        said = ("export failed", "spans wait in the spool", *said)
        wait_for(lambda: all(word in self.sidecar.log() for word in said), 60, f"{said} in\n{self.sidecar.tail()}")
        books = self.sidecar.books(self.destination)

        assert self.receiver.ledger.distinct() == arrived
        assert books.balance
        assert not sum(books.lost.values()), books
        assert books.waiting

    def assert_delivered(self) -> None:
        """Assert that all is delivered soon, and judge."""
        stopwatch = Stopwatch(self.sidecar.pid)
        settle(self.sidecar, [self.producer], self.destination, 2 * _PICKED_UP_SECONDS)
        took = stopwatch.read()

        assert_conserved(self.sidecar, [self.producer], self.receiver.ledger, self.destination)
        assert took <= _PICKED_UP_SECONDS


AUTHORITY, OTHER = Authority("faults"), Authority("another")
CLIENT = AUTHORITY.issue("sidecar")


@pytest.fixture(params=[False, True], ids=["grpc", "http"])
def start(folder: Path, request: pytest.FixtureRequest) -> Callable[[ServerTls], Any]:
    """Give a context manager that starts it all: `start(what the receiver shows)`."""

    @contextlib.contextmanager
    def started(tls: ServerTls) -> Iterator[Secured]:
        run = Run(19 << 16)
        files = folder / "certificates"
        files.mkdir()
        with Receiver(Ledger(run), tls=tls) as receiver, Sidecar(folder) as sidecar:
            endpoint = receiver.http_endpoint if request.param else receiver.endpoint
            fields: dict[str, Any] = {"protocol": "http/protobuf"} if request.param else {}
            paths = {"ca_cert": files / "ca", "client_cert": files / "cert", "client_key": files / "key"}
            fields["tls"] = {name: str(path) for name, path in paths.items()}
            producer = Producer(sidecar.socket, run, entry(endpoint, run, **fields))
            secured = Secured(receiver, sidecar, producer, endpoint, files)
            secured.write(AUTHORITY, CLIENT)
            yield secured
            producer.close()

    return started


def test_the_collectors_certificate_ends_and_is_renewed(start: Callable[[ServerTls], Any]) -> None:
    """Fault 19: a certificate that has ended holds spans back, and the log says so; a new one lets them through."""
    with start(ServerTls(AUTHORITY.issue("collector"))) as secured:
        secured.send(10)
        settle(secured.sidecar, [secured.producer], secured.destination, 60)
        secured.receiver.stop()
        secured.receiver.start(ServerTls(AUTHORITY.issue("collector", days=0)))
        secured.send(10)
        secured.assert_held("certificate")
        secured.receiver.stop()
        secured.receiver.start(ServerTls(AUTHORITY.issue("collector")))

        secured.assert_delivered()


def test_the_authority_is_replaced(start: Callable[[ServerTls], Any]) -> None:
    """Fault 19: a collector of another authority gets nothing, and all once ca_cert has that one; no restart."""
    with start(ServerTls(OTHER.issue("collector"))) as secured:
        secured.send(10)
        secured.assert_held("certificate")
        secured.write(OTHER, CLIENT)

        secured.assert_delivered()


def test_the_clients_certificate_is_replaced(start: Callable[[ServerTls], Any]) -> None:
    """Fault 19: a client's certificate that is not taken any more holds spans back until its files are replaced."""
    with start(ServerTls(AUTHORITY.issue("collector"), AUTHORITY.certificate)) as secured:
        secured.send(10)
        settle(secured.sidecar, [secured.producer], secured.destination, 60)
        secured.receiver.stop()
        secured.receiver.start(ServerTls(AUTHORITY.issue("collector"), OTHER.certificate))
        secured.send(10)
        secured.assert_held()
        secured.write(AUTHORITY, OTHER.issue("sidecar"))

        secured.assert_delivered()


def test_a_certificate_is_missing_for_a_while(start: Callable[[ServerTls], Any]) -> None:
    """Fault 19: a file that is not there yet holds spans back and is named in the log; they are sent when it comes."""
    with start(ServerTls(AUTHORITY.issue("collector"))) as secured:
        (secured.files / "ca").unlink()
        secured.send(10)
        secured.assert_held("tls.ca_cert")
        secured.write(AUTHORITY, CLIENT)

        secured.assert_delivered()
