"""Promises of sidecar/export/refusals.py: a collector that refuses everything costs no span."""

from __future__ import annotations

import asyncio

import pytest

from delivery_doubles import OK
from export_stage import BAD, Stage, books, staged
from otlp_tracing.sidecar.export.result import Action, ExportResult


@pytest.mark.parametrize("answer", [BAD, ExportResult(Action.DROP, "HTTP 500: no")])
def test_a_collector_that_refuses_everything_costs_no_span(answer: ExportResult) -> None:
    """After three batches without an accepted span all are held, with few requests, and delivered when it is mended."""

    async def scene(stage: Stage) -> None:
        exporter, collector = stage.to(send_batch_size=128)
        collector.answer = lambda _: answer
        for number in range(128 * 10):
            stage.send(exporter, str(number))
        await asyncio.sleep(1)
        asked = len(collector.requests)
        await asyncio.sleep(600)

        assert books(exporter) == (0, 0, 0, 1280)
        assert len(collector.requests) - asked < 600 / 24 * 34
        status = exporter.status()
        assert (status["state"], status["reason"]) == ("held", answer.reason)
        assert "refuses every span" in status["remedy"]
        assert stage.held() == {"refused"}

        collector.answer = lambda _: OK
        await asyncio.sleep(60)
        assert books(exporter) == (1280, 0, 0, 0)
        assert sorted(map(int, collector.accepted)) == list(range(1280))
        assert (exporter.state, stage.held()) == ("ok", set())

    staged(scene)


def test_spans_that_are_refused_alone_count_as_rejected_soon() -> None:
    """If no other batch comes within ten seconds; the state says so until a span is accepted."""

    async def scene(stage: Stage) -> None:
        exporter, collector = stage.to(timeout=1)
        collector.answer = lambda _: BAD
        stage.send(exporter, "a", "b")
        await asyncio.sleep(5)
        assert books(exporter) == (0, 0, 0, 2)
        await asyncio.sleep(6)
        assert books(exporter) == (0, 2, 0, 0)
        assert (exporter.state, exporter.status()["reason"]) == ("rejecting", BAD.reason)

        collector.answer = lambda _: OK
        stage.send(exporter, "c")
        await asyncio.sleep(1)
        assert exporter.state == "ok"

    staged(scene)


def test_a_partial_success_without_any_span_is_a_refusal() -> None:
    """Its spans are rejected, as OTLP says; after three such batches the next ones are held."""

    async def scene(stage: Stage) -> None:
        exporter, collector = stage.to(send_batch_size=2)
        collector.answer = lambda names: ExportResult(Action.SUCCESS, "quota", rejected=len(names))
        for number in range(10):
            stage.send(exporter, f"{number} a", f"{number} b")
            await asyncio.sleep(1)

        assert exporter.state == "held"
        assert books(exporter)[3] > 10

    staged(scene)


def test_a_refused_batch_does_not_delay_the_end() -> None:
    """At the end there is no next batch to wait for."""

    async def scene(stage: Stage) -> None:
        exporter, collector = stage.to(timeout=600_000)
        collector.answer = lambda _: BAD
        stage.send(exporter, "a")
        begun = asyncio.get_running_loop().time()
        await stage.exporters.close(5)

        assert asyncio.get_running_loop().time() - begun < 2
        assert books(exporter) == (0, 1, 0, 0)

    staged(scene)
