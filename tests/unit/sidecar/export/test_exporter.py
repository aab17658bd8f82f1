"""Promises of sidecar/export/exporter.py: what becomes of spans, answer by answer, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import virtual_time
from delivery_doubles import OK, ScriptedTransport, encoded
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporter import CONCURRENT_REQUESTS, MAX_BATCH_BYTES, Exporter
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.telemetry.registry import Metrics

DOWN = ExportResult(Action.RETRY, "UNAVAILABLE: nobody is there")
BAD = ExportResult(Action.SPLIT, "INVALID_ARGUMENT: no")


class Stage:
    """ExporterRegistry over scripted transports, with everything in memory."""

    def __init__(self) -> None:
        self.transports: dict[str, ScriptedTransport] = {}
        self.metrics = Metrics()
        self.exporters = ExporterRegistry(self.metrics, {}, None, self._transport)

    def _transport(self, destination: Destination) -> ScriptedTransport:
        return self.transports.setdefault(destination.endpoint, ScriptedTransport())

    def to(self, name: str = "c", **config: Any) -> tuple[Exporter, ScriptedTransport]:
        settings = Settings.from_config({"endpoint": f"http://{name}:1", "batch_export": config})
        destination = Destination.from_settings(settings, {})
        return self.exporters.get(destination), self._transport(destination)

    def send(self, delivery: Exporter, *names: str, padding: int = 0) -> None:
        """One request, of which each name is a span."""
        self.exporters.submit(delivery.destination, [encoded(name, padding) for name in names], 0)
        self.exporters.save(b"sender", 1)


def staged(scene: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene(Stage())

    virtual_time.run(run())


def books(delivery: Exporter) -> tuple[int, int, int, int]:
    """Exported, rejected, dropped and waiting, once the balance has been looked at."""
    assert delivery.accounting.discrepancy == 0
    return (
        delivery.accounting.exported,
        delivery.accounting.rejected,
        sum(delivery.accounting.dropped.values()),
        delivery.accounting.spooled + delivery.accounting.in_flight,
    )


def test_a_batch_is_sent_when_it_is_full_or_old_enough() -> None:
    """At send_batch_size at once; fewer after the timeout."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(timeout=5000, send_batch_size=4)
        for number in range(3):
            stage.send(delivery, f"{number}a", f"{number}b")
        await asyncio.sleep(0.001)

        assert collector.requests == [["0a", "0b", "1a", "1b"]]
        await asyncio.sleep(4.9)
        assert len(collector.requests) == 1
        await asyncio.sleep(0.2)
        assert collector.requests[1:] == [["2a", "2b"]]
        assert books(delivery) == (6, 0, 0, 0)

    staged(scene)


def test_spans_outlast_an_outage_and_arrive_in_order() -> None:
    """Ten minutes of nobody there: everything waits, and goes out oldest first when somebody is."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(timeout=100, send_batch_size=10)
        collector.answer = lambda _: DOWN
        names = [f"span {number}" for number in range(200)]
        for name in names:
            stage.send(delivery, name)
            await asyncio.sleep(3)
        assert books(delivery) == (0, 0, 0, 200)
        assert delivery.state == "retrying"

        collector.answer = lambda _: OK
        await asyncio.sleep(15)

        assert books(delivery) == (200, 0, 0, 0)
        assert sorted(collector.accepted) == sorted(names)
        assert collector.accepted[:10] == names[:10]
        assert delivery.state == "ok"

    staged(scene)


def test_who_fails_is_asked_by_one_request_at_a_time_and_ever_more_rarely() -> None:
    """Attempts grow apart to ten seconds and no further, whatever waits."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(timeout=1, send_batch_size=1)
        collector.answer = lambda _: DOWN
        for number in range(50):
            stage.send(delivery, str(number))
        await asyncio.sleep(200)

        later = [second - first for first, second in itertools.pairwise(collector.requested_at)]
        later = later[CONCURRENT_REQUESTS:]
        assert min(later) > 0.7
        assert all(8 <= gap <= 12.1 for gap in later[6:])

    staged(scene)


def test_what_the_collector_asks_to_wait_is_waited() -> None:
    """A RetryInfo of seven seconds is seven seconds, and up to a tenth more."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(timeout=1)
        answers = [ExportResult(Action.RETRY, "RESOURCE_EXHAUSTED: slowly", delay_s=7.0)]
        collector.answer = lambda _: answers.pop() if answers else OK
        stage.send(delivery, "a")
        await asyncio.sleep(30)

        first, second = collector.requested_at
        assert 7 <= second - first <= 7.8
        assert books(delivery) == (1, 0, 0, 0)

    staged(scene)


def test_several_requests_are_under_way() -> None:
    """A collector that takes its time gets the next batches meanwhile, up to a bound."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(send_batch_size=1)
        collector.gate.clear()
        for number in range(20):
            stage.send(delivery, str(number))
        await asyncio.sleep(1)

        assert collector.most_at_once == CONCURRENT_REQUESTS
        assert delivery.accounting.in_flight == CONCURRENT_REQUESTS
        assert books(delivery) == (0, 0, 0, 20)

    staged(scene)


def test_a_slow_destination_delays_no_other() -> None:
    """One hangs; what is for the other is there at once."""

    async def scene(stage: Stage) -> None:
        slow, hanging = stage.to("slow", send_batch_size=1)
        quick, collector = stage.to("quick", send_batch_size=1)
        hanging.gate.clear()
        for number in range(50):
            stage.send(slow, str(number))
            stage.send(quick, str(number))
        await asyncio.sleep(0.01)

        assert len(collector.accepted) == 50
        assert books(quick) == (50, 0, 0, 0)

    staged(scene)


@pytest.mark.parametrize("answer", [ExportResult(Action.DROP, "UNIMPLEMENTED: no"), BAD])
def test_what_is_refused_for_good_is_counted_and_not_repeated(answer: ExportResult) -> None:
    """A single span that the collector will not have is rejected; the next one is none the worse for it."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(send_batch_size=1)
        collector.answer = lambda names: answer if names == ["bad"] else OK
        stage.send(delivery, "bad")
        stage.send(delivery, "good")
        await asyncio.sleep(60)

        assert collector.requests.count(["bad"]) == 1
        assert books(delivery) == (1, 1, 0, 0)

    staged(scene)


@pytest.mark.parametrize("poison", [{"5"}, {"0", "255"}, {str(number) for number in range(100, 110)}])
def test_poison_costs_no_neighbour(poison: set[str]) -> None:
    """A batch refused for what is in it is narrowed down until the spans meant stand alone."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(send_batch_size=256)
        collector.answer = lambda names: BAD if poison & set(names) else OK
        for number in range(0, 256, 2):
            stage.send(delivery, str(number), str(number + 1))
        await asyncio.sleep(1)

        assert set(collector.accepted) == {str(number) for number in range(256)} - poison
        assert books(delivery) == (256 - len(poison), len(poison), 0, 0)
        assert len(collector.requests) < 40 * len(poison)

    staged(scene)


def test_a_collector_that_refuses_everything_is_not_asked_about_every_span() -> None:
    """One batch is narrowed down to nothing, the next ones are refused whole, for ten seconds."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(send_batch_size=128)
        collector.answer = lambda _: BAD
        for number in range(128 * 5):
            stage.send(delivery, str(number))
        await asyncio.sleep(1)
        asked = len(collector.requests)
        for number in range(128 * 5):
            stage.send(delivery, str(number))
        await asyncio.sleep(1)

        assert len(collector.requests) - asked == 5
        assert books(delivery) == (0, 128 * 10, 0, 0)

    staged(scene)


def test_an_outage_while_narrowing_costs_nothing() -> None:
    """What was answered for stays answered for; the rest waits and is sent later."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(send_batch_size=8)
        answers = [BAD, OK, DOWN]
        collector.answer = lambda names: answers.pop(0) if answers else (BAD if "7" in names else OK)
        for number in range(8):
            stage.send(delivery, str(number))
        await asyncio.sleep(30)

        assert sorted(collector.accepted) == [str(number) for number in range(7)]
        assert books(delivery) == (7, 1, 0, 0)

    staged(scene)


def test_partial_success_is_counted_and_not_repeated() -> None:
    """The collector says how many it did not take; which ones, nobody knows."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(send_batch_size=10)
        collector.answer = lambda _: ExportResult(Action.SUCCESS, "too old", rejected=3)
        stage.send(delivery, *map(str, range(10)))
        await asyncio.sleep(60)

        assert len(collector.requests) == 1
        assert books(delivery) == (7, 3, 0, 0)

    staged(scene)


def test_without_authority_spans_are_held() -> None:
    """A refused key drops nothing, however long; a new one lets everything through at once."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(send_batch_size=1, max_retry_time=60)
        collector.answer = lambda _: ExportResult(Action.HOLD_UNAUTHORIZED, "UNAUTHENTICATED: expired")
        stage.send(delivery, "a")
        await asyncio.sleep(3600)
        assert delivery.state == "held"
        assert books(delivery) == (0, 0, 0, 1)
        assert len(collector.requests) < 200

        collector.answer = lambda _: OK
        await asyncio.sleep(40)
        assert books(delivery) == (1, 0, 0, 0)

    staged(scene)


def test_a_retry_time_bounds_how_long_spans_wait() -> None:
    """Past max_retry_time what waited as long is given up and counted; what came later has its own time."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(timeout=1, max_retry_time=60)
        collector.answer = lambda _: DOWN
        stage.send(delivery, "old")
        await asyncio.sleep(50)
        stage.send(delivery, "young")
        await asyncio.sleep(30)
        assert books(delivery) == (0, 0, 1, 1)

        collector.answer = lambda _: OK
        await asyncio.sleep(15)
        assert collector.accepted == ["young"]
        assert delivery.accounting.dropped == {"retry_expired": 1}

    staged(scene)


def test_no_request_is_larger_than_otlp_allows() -> None:
    """Cut by bytes as well as by count, and a span that is larger by itself is given up alone."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(send_batch_size=8192)
        for number in range(200):
            stage.send(delivery, str(number), padding=64 << 10)
        stage.send(delivery, "huge", padding=5 << 20)
        stage.send(delivery, "a", "b", "c", padding=2 << 20)
        await asyncio.sleep(60)

        assert collector.largest < 4 << 20
        assert len(set(collector.accepted)) == 203
        assert MAX_BATCH_BYTES < 4 << 20
        assert delivery.accounting.dropped == {"too_large": 1}
        assert books(delivery) == (203, 0, 1, 0)

    staged(scene)


def test_past_the_bound_the_oldest_traces_go() -> None:
    """Whole rows, oldest first, counted exactly."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(spool_max_bytes=1 << 20, timeout=1)
        collector.answer = lambda _: DOWN
        for number in range(100):
            stage.send(delivery, f"{number} a", f"{number} b", padding=20 << 10)
            await asyncio.sleep(0)
        await asyncio.sleep(1)
        _, _, dropped, waiting = books(delivery)
        assert dropped + waiting == 200
        assert delivery.queue.bytes <= 1 << 20

        collector.answer = lambda _: OK
        await asyncio.sleep(60)
        whole = {name.split()[0] for name in collector.accepted}
        assert len(collector.accepted) == 2 * len(whole) == waiting
        assert whole == {str(number) for number in range(100 - waiting // 2, 100)}

    staged(scene)


def test_the_end_flushes_as_long_as_somebody_answers() -> None:
    """What waits for its batch goes out; who hangs or fails keeps nobody."""

    async def scene(stage: Stage) -> None:
        well, _ = stage.to("well", timeout=600_000)
        down, nobody = stage.to("down", timeout=1)
        hung, silent = stage.to("hung", timeout=1)
        nobody.answer = lambda _: DOWN
        silent.gate.clear()
        for delivery in (well, down, hung):
            stage.send(delivery, "a")
        await asyncio.sleep(0.1)
        begun = asyncio.get_running_loop().time()
        await stage.exporters.close(5)

        assert asyncio.get_running_loop().time() - begun < 6
        assert [books(delivery) for delivery in (well, down, hung)] == [(1, 0, 0, 0), (0, 0, 0, 1), (0, 0, 0, 1)]

    staged(scene)


def test_spans_that_could_not_be_encoded_are_counted() -> None:
    """They are received and dropped."""

    async def scene(stage: Stage) -> None:
        delivery, _ = stage.to()
        stage.exporters.submit(delivery.destination, [], 2)

        assert delivery.accounting.dropped == {"bad_span": 2}
        assert books(delivery) == (0, 0, 2, 0)

    staged(scene)


def test_how_long_the_collector_takes_is_measured() -> None:
    """By what it answers, under the name that OpenTelemetry has for it."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(send_batch_size=1)
        answers = [ExportResult(Action.RETRY, "UNAVAILABLE: no", error_type="UNAVAILABLE")]
        collector.answer = lambda _: answers.pop() if answers else OK
        stage.send(delivery, "a")
        await asyncio.sleep(10)

        name = "otel_sdk_exporter_operation_duration_seconds_count"
        for error_type in ("UNAVAILABLE", ""):
            labels = {"otel_component_type": "otlp_grpc_span_exporter", "destination": "http://c:1"}
            assert stage.metrics.registry.get_sample_value(name, {**labels, "error_type": error_type}) == 1

    staged(scene)
