"""The real OpenTelemetry Collector: killed and started again, hung, and behind a proxy that answers every code."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from e2e.collectors import Collector, CollectorMissing, collector_binary
from e2e.spans import from_otlp_json
from e2e.waiting import wait_for
from faults.delivery.grpc_proxy import GrpcProxy
from faults.delivery.issue import SPANS_A_REQUEST, Run
from faults.delivery.oracle import settle
from faults.delivery.producer import Producer
from faults.delivery.scene import entry
from faults.delivery.sidecar import Sidecar
from otlp_tracing.sidecar.export.exporter import CONCURRENT_REQUESTS

pytestmark = pytest.mark.timeout(3600)

Seconds = Callable[[float, float], float]

_RATE = 300
_MAX_REPEATED = 0.01
_BATCH_SPANS = 50
_IN_FLIGHT = CONCURRENT_REQUESTS * _BATCH_SPANS  # in the short form more than a hundredth
_REPEATED = ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS")
_HELD = ("UNAUTHENTICATED", "PERMISSION_DENIED")


@pytest.fixture
def collector(folder: Path) -> Iterator[Collector]:
    """Give a running collector."""
    try:
        binary = collector_binary()
    except CollectorMissing as reason:
        pytest.skip(f"no OpenTelemetry Collector: {reason}")
    home = folder / "collector"
    home.mkdir()
    with Collector(binary, home) as running:
        yield running


@pytest.fixture
def sidecar(folder: Path) -> Iterator[Sidecar]:
    """Give a running sidecar."""
    with Sidecar(folder) as running:
        yield running


@contextlib.contextmanager
def _producing(sidecar: Sidecar, endpoint: str) -> Iterator[Producer]:
    run = Run(1 << 20)
    producer = Producer(
        sidecar.socket, run, entry(endpoint, run, batch_export={"timeout": 50, "send_batch_size": _BATCH_SPANS})
    )
    try:
        yield producer
    finally:
        producer.close()


def _arrived(collector: Collector) -> Counter[str]:
    """Count the spans in the collector's file by id. A line that a kill cut short does not count."""
    found: Counter[str] = Counter()
    for line in collector.text().split("\n"):
        with contextlib.suppress(json.JSONDecodeError):
            found.update(span.span_id for span in from_otlp_json(json.loads(line)))
    return found


def _assert_nothing_lost(collector: Collector, producer: Producer, under_way: int = _IN_FLIGHT) -> None:
    """Judge; so many spans may have come twice in a short run, of which a hundredth is less."""
    issued = producer.run.issued * SPANS_A_REQUEST
    expected = {f"{producer.run.name:08x}{place:08x}" for place in range(issued)}
    with contextlib.suppress(AssertionError):
        wait_for(lambda: len(_arrived(collector)) >= issued, 30, "the collector has written everything")
    arrived = _arrived(collector)
    repeated = arrived.total() - len(arrived)
    missing, unknown = len(expected - set(arrived)), len(set(arrived) - expected)

    assert not producer.given_up
    assert (missing, unknown) == (0, 0)
    assert repeated <= max(_MAX_REPEATED * issued, under_way), f"{repeated} of {issued} came twice"


def test_the_collector_is_killed_and_started_again(
    collector: Collector, sidecar: Sidecar, rounds: int, seconds: Seconds
) -> None:
    """A collector killed and started again loses nothing that it had not written; few spans come twice.

    Spans that it answers with OK and loses with its memory are its own loss. So it is killed when its file has all
    accepted spans.
    """
    with _producing(sidecar, collector.endpoint) as producer:
        for _ in range(min(rounds, 10)):
            with producer.sending(_RATE):
                time.sleep(1)  # load
            settle(sidecar, [producer], collector.endpoint, 60)
            spans = producer.run.issued * SPANS_A_REQUEST
            wait_for(lambda: len(_arrived(collector)) >= spans, 60, "the collector has written it")  # noqa: B023
            collector.kill()
            with producer.sending(_RATE):
                time.sleep(seconds(60, 1))  # the outage
                collector.start()
        settle(sidecar, [producer], collector.endpoint, 60)
        books = sidecar.books(collector.endpoint)

        _assert_nothing_lost(collector, producer)
        assert books.balance
        assert not sum(books.lost.values()), books


def test_the_collector_is_restarted_under_load(collector: Collector, sidecar: Sidecar, rounds: int) -> None:
    """A collector that is shut down in order under load, and started again, loses nothing."""
    with _producing(sidecar, collector.endpoint) as producer:
        with producer.sending(_RATE):
            for _ in range(min(rounds, 10)):
                time.sleep(1)  # load
                collector.stop()
                collector.start()
        settle(sidecar, [producer], collector.endpoint, 60)

        _assert_nothing_lost(collector, producer, min(rounds, 10) * _IN_FLIGHT)


def test_the_collector_hangs(collector: Collector, sidecar: Sidecar, seconds: Seconds) -> None:
    """A collector that is stopped for longer than an attempt may take loses nothing; spans that it had read come
    twice.

    The sidecar has given up the batches in the collector's sockets when the collector continues. These are counted,
    and few.
    """
    with _producing(sidecar, collector.endpoint) as producer:
        with producer.sending(_RATE):
            time.sleep(1)  # load
            with collector.frozen():
                time.sleep(seconds(300, 14))  # longer than an attempt may take
        settle(sidecar, [producer], collector.endpoint, 60)

        _assert_nothing_lost(collector, producer)


def test_a_proxy_answers_every_code(collector: Collector, sidecar: Sidecar, seconds: Seconds) -> None:
    """Every code in place of the collector's answer: only spans that a code forbids to send again are lost.

    One export in six is answered so, in turn by each code. One answer in a hundred and fifty is lost after the
    collector accepted the batch. Only such a span can come twice.
    """
    codes = [grpc.StatusCode[name] for name in (*_REPEATED, *_HELD)]
    calm = threading.Event()
    with (
        GrpcProxy(
            collector.port,
            lambda number: codes[number // 6 % len(codes)] if number % 6 == 5 and not calm.is_set() else None,
            lambda number: number % 150 == 100,
        ) as proxy,
        _producing(sidecar, proxy.endpoint) as producer,
    ):
        with producer.sending(_RATE):
            until = time.monotonic() + seconds(300, 6)
            wait_for(
                lambda: time.monotonic() > until and set(proxy.answered) == set(codes), 400, "each code was answered"
            )
        calm.set()  # spans that wait would take minutes, because each of these answers is a pause
        settle(sidecar, [producer], proxy.endpoint, 120)
        books = sidecar.books(proxy.endpoint)

        _assert_nothing_lost(collector, producer, proxy.lost_spans)
        assert books.balance
        assert not sum(books.lost.values()), books


def test_codes_that_forbid_a_repetition_are_counted(collector: Collector, sidecar: Sidecar) -> None:
    """A code that says not to send again costs its batch, and the books say so to the span."""
    codes = [code for code in grpc.StatusCode if code.name not in {"OK", "RESOURCE_EXHAUSTED", *_REPEATED, *_HELD}]
    with (
        GrpcProxy(
            collector.port, lambda number: codes[number // 2] if number % 2 and number // 2 < len(codes) else None
        ) as proxy,
        _producing(sidecar, proxy.endpoint) as producer,
    ):
        with producer.sending(_RATE):
            wait_for(lambda: len(proxy.answered) == len(codes), 60, "each code was answered")
        settle(sidecar, [producer], proxy.endpoint, 30)
        books = sidecar.books(proxy.endpoint)
        wait_for(lambda: len(_arrived(collector)) >= books.exported, 60, "the collector has written everything")

        assert books.balance
        assert len(_arrived(collector)) + sum(books.lost.values()) == producer.run.issued * SPANS_A_REQUEST
        assert _arrived(collector).total() == len(_arrived(collector))
