"""Promises of sidecar/export/exporter.py: the fate of spans, answer by answer, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from delivery_doubles import OK
from export_stage import BAD, DOWN, Stage, books, staged
from otlp_tracing import log_limit
from otlp_tracing.sidecar.export.exporter import CONCURRENT_REQUESTS
from otlp_tracing.sidecar.export.result import Action, ExportResult


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
    """For ten minutes no collector is there: all spans wait, and are sent oldest first when it is back."""

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


def test_an_internal_error_does_not_end_the_exports(caplog: pytest.LogCaptureFixture) -> None:
    """The spans wait, and are sent once the error is over."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(timeout=100)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(delivery.queue, "pop", None)  # which cannot be called
            stage.send(delivery, "a")
            await asyncio.sleep(60)
            assert "internal error in exporter" in caplog.text
            assert delivery.state == "retrying"
        await asyncio.sleep(60)

        assert collector.accepted == ["a"]
        assert books(delivery) == (1, 0, 0, 0)
        assert delivery.state == "ok"

    staged(scene)


def test_internal_errors_do_not_fill_the_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An exporter that fails for an hour makes several hundred attempts; those of one interval are one line."""
    monkeypatch.setattr(log_limit, "INTERVAL_SECONDS", 3600.0)

    async def scene(stage: Stage) -> None:
        delivery, _ = stage.to(timeout=100)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(delivery.queue, "pop", None)  # which cannot be called
            stage.send(delivery, "a")
            await asyncio.sleep(3600)

    staged(scene)

    assert caplog.text.count("internal error in exporter") == 1


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
    """One hangs; spans for the other arrive at once."""

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
    """A single span that the collector refuses is rejected; the next one is delivered."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(send_batch_size=1)
        collector.answer = lambda names: answer if names == ["bad"] else OK
        stage.send(delivery, "bad")
        stage.send(delivery, "good")
        await asyncio.sleep(60)

        assert collector.requests.count(["bad"]) == 1
        assert books(delivery) == (1, 1, 0, 0)

    staged(scene)


def test_partial_success_is_counted_and_not_repeated() -> None:
    """The collector reports the number of spans that it did not take, and not which."""

    async def scene(stage: Stage) -> None:
        delivery, collector = stage.to(send_batch_size=10)
        collector.answer = lambda _: ExportResult(Action.SUCCESS, "too old", rejected=3)
        stage.send(delivery, *map(str, range(10)))
        await asyncio.sleep(60)

        assert len(collector.requests) == 1
        assert books(delivery) == (7, 3, 0, 0)

    staged(scene)


@pytest.mark.parametrize(
    ("action", "reason"), [(Action.HOLD_UNAUTHORIZED, "unauthorized"), (Action.HOLD_NOT_OTLP, "not_otlp")]
)
def test_a_held_destination_says_why(action: Action, reason: str) -> None:
    """State, reason, remedy and command are in its status, and the reason is on /metrics until it delivers."""

    async def scene(stage: Stage) -> None:
        exporter, collector = stage.to(send_batch_size=1)
        collector.answer = lambda _: ExportResult(action, "HTTP 404: no such page", command="mend it")
        stage.send(exporter, "a")
        await asyncio.sleep(1)
        status = exporter.status()
        assert (status["state"], status["reason"], bool(status["remedy"])) == ("held", "HTTP 404: no such page", True)
        assert (status["endpoint"], status["command"]) == (exporter.destination.address, "mend it")
        assert stage.held() == {reason}

        collector.answer = lambda _: OK
        await asyncio.sleep(40)
        assert (exporter.status()["remedy"], exporter.status()["command"], stage.held()) == ("", "", set())
        assert books(exporter) == (1, 0, 0, 0)

    staged(scene)


def test_without_authority_spans_are_held() -> None:
    """A refused key costs no span, however long; after the collector accepts it, all are delivered."""

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
    """Past max_retry_time a span is dropped and counted; younger spans have their own time."""

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


def test_past_the_bound_the_oldest_traces_go() -> None:
    """Whole batches, oldest first, counted exactly."""

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
    """Incomplete batches are sent; a collector that hangs or fails does not delay the end."""

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
    """By its answer, under the name that OpenTelemetry has for it."""

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
