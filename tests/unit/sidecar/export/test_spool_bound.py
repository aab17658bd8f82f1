"""Promises of sidecar/export/spool_bound.py: all destinations together stay below one bound, the oldest are dropped."""

from __future__ import annotations

import asyncio

import pytest

from export_stage import DOWN, Stage, books, staged
from otlp_tracing.metrics import SPOOL_BYTES, SPOOL_MAX_BYTES

BOUND = 100_000


def test_the_oldest_of_all_destinations_are_dropped() -> None:
    """The spans of a destination that came first make room for those of another one, and are counted."""

    async def scene(stage: Stage) -> None:
        old, one = stage.to("old")
        new, other = stage.to("new")
        one.answer = other.answer = lambda _: DOWN
        for number in range(10):
            stage.send(old, f"old {number}", padding=5000)
        await asyncio.sleep(1)
        for number in range(14):
            stage.send(new, f"new {number}", padding=5000)
        await asyncio.sleep(1)

        assert stage.exporters.bound.bytes <= BOUND
        assert books(new) == (0, 0, 0, 14)
        _, _, dropped, waiting = books(old)
        assert dropped + waiting == 10
        assert old.accounting.dropped["spool_full"] == dropped
        assert 0 < waiting < 10
        assert stage.metrics.value(SPOOL_MAX_BYTES) == BOUND
        assert 0 < stage.metrics.value(SPOOL_BYTES) <= BOUND

    staged(scene, BOUND)


@pytest.mark.parametrize("bound", [None, 1 << 30])
def test_without_need_nothing_is_dropped(bound: int | None) -> None:
    """Neither below the bound, nor without one."""

    async def scene(stage: Stage) -> None:
        exporter, collector = stage.to()
        collector.answer = lambda _: DOWN
        for number in range(100):
            stage.send(exporter, str(number), padding=5000)
        await asyncio.sleep(1)

        assert books(exporter) == (0, 0, 0, 100)

    staged(scene, bound)


def test_spans_in_flight_are_not_dropped() -> None:
    """They are on their way; the bound holds again when the collector has answered."""

    async def scene(stage: Stage) -> None:
        exporter, collector = stage.to(send_batch_size=1)
        collector.gate.clear()
        for number in range(4):
            stage.send(exporter, str(number), padding=BOUND // 3)
            await asyncio.sleep(1)
        assert books(exporter) == (0, 0, 0, 4)
        collector.gate.set()
        await asyncio.sleep(1)

        assert books(exporter) == (4, 0, 0, 0)

    staged(scene, BOUND)
