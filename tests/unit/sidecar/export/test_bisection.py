"""Promises of sidecar/export/bisection.py: a refused span costs no other span of its batch."""

from __future__ import annotations

import asyncio

import pytest

from delivery_doubles import OK
from export_stage import BAD, DOWN, Stage, books, staged
from otlp_tracing.sidecar.export.bisection import MAX_REQUEST_BYTES


@pytest.mark.parametrize("poison", [{"5"}, {"0", "255"}, {str(number) for number in range(100, 110)}])
def test_poison_costs_no_neighbour(poison: set[str]) -> None:
    """A batch that is refused for its content is bisected until only the offending spans are left."""

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


def test_an_outage_while_narrowing_costs_nothing() -> None:
    """Accepted spans stay accepted; the others wait and are sent later."""

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
        assert MAX_REQUEST_BYTES < 4 << 20
        assert delivery.accounting.dropped == {"too_large": 1}
        assert books(delivery) == (203, 0, 1, 0)

    staged(scene)
