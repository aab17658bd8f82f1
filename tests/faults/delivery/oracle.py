"""The conservation oracle, which judges every fault test.

- Every acknowledged span is delivered, or counted as dropped or rejected.
- Every delivered span was issued, and is unchanged.
- At most one of a hundred delivered spans is a repetition, apart from spans in flight when a fault came.
- The books of the destination balance.
"""

from __future__ import annotations

from collections.abc import Sequence

from e2e.waiting import wait_for
from faults.delivery.issue import SPANS_A_REQUEST
from faults.delivery.ledger import Ledger
from faults.delivery.producer import Producer
from faults.delivery.sidecar import Sidecar
from otlp_tracing.sidecar.export.exporter import CONCURRENT_REQUESTS

MAX_REPEATED = 0.01
_REQUEST_SPANS = 512  # of the size that is the default
IN_FLIGHT_SPANS = CONCURRENT_REQUESTS * _REQUEST_SPANS
_MANY_FAULTS = 20  # with so many, a fault takes the answer of one request at the most on an average


def settle(sidecar: Sidecar, producers: Sequence[Producer], destination: str, seconds: float) -> None:
    """Wait until everything is acknowledged and nothing waits for delivery."""
    for producer in producers:
        producer.wait_until_acknowledged()
    wait_for(
        lambda: not sidecar.books(destination).waiting,
        seconds,
        f"everything is delivered; {sidecar.books(destination)}\n{sidecar.tail()}",
    )


def assert_conserved(
    sidecar: Sidecar,
    producers: Sequence[Producer],
    ledger: Ledger,
    destination: str,
    *,
    max_repeated: float = MAX_REPEATED,
    given_up: int = 0,
    faults: int = 1,
) -> None:
    """Judge, after `settle`.

    Args:
        sidecar: that delivered.
        producers: all that handed over to this destination.
        ledger: of the receiver.
        destination: its name on /metrics.
        max_repeated: share of the delivered spans that may have come before; 0 for none, whatever was under way.
        given_up: spans that must be counted as dropped or rejected, exactly.
        faults: how often answers were lost on their way.
    """
    books = sidecar.books(destination)
    counted = sidecar.given_up(destination)
    missing = sum(len(ledger.missing(producer.run, producer.acknowledged)) for producer in producers)
    said = f"{missing} missing, {counted} counted, {ledger.repeated} repeated of {ledger.arrived}; {books}"

    assert ledger.faults == []
    assert missing == counted, said
    assert counted == given_up, said
    # Spans that had arrived when their answer was lost come twice, rightly. In a short run they are more than a
    # hundredth.
    under_way = faults * (IN_FLIGHT_SPANS if faults < _MANY_FAULTS else _REQUEST_SPANS) if max_repeated else 0
    assert ledger.repeated <= max(max_repeated * ledger.distinct(), under_way), said
    assert books.balance, said


def assert_untraced_exactly(producer: Producer, ledger: Ledger) -> None:
    """Judge a producer that had to give requests up: those it counts are those that are missing."""
    missing = ledger.missing(producer.run, range(producer.run.issued))

    assert ledger.faults == []
    assert len(missing) == producer.given_up * SPANS_A_REQUEST
