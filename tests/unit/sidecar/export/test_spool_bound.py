"""Promises of sidecar/export/spool_bound.py: all destinations together stay below one bound, the oldest are dropped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from delivery_doubles import ScriptedTransport, encoded
from export_stage import DOWN, books
from otlp_tracing.config.settings import Settings
from otlp_tracing.metrics import SPOOL_BYTES, SPOOL_MAX_BYTES
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporter import Exporter
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.telemetry.registry import Metrics

BOUND = 100_000
PADDING = 5000


class Process:
    """A sidecar's exporters over scripted transports."""

    def __init__(self, folder: Path | None, bound: int | None) -> None:
        self.metrics, self.transport, self._saved = Metrics(), ScriptedTransport(lambda _: DOWN), 0
        self.exporters = ExporterRegistry(self.metrics, {}, folder, lambda _: self.transport, spool_max_bytes=bound)

    async def send(self, name: str, spans: int) -> Exporter:
        """Send spans to a destination, each in a batch of its own, and wait until they are safe."""
        settings = Settings.from_config({"endpoint": f"http://{name}:1", "batch_export": {"send_batch_size": 1}})
        exporter = self.exporters.get(Destination.from_settings(settings, {}))
        for number in range(spans):
            self.exporters.submit(exporter.destination, [encoded(f"{name} {number}", PADDING)], 0)
            self._saved += 1
            if (safe := self.exporters.save(b"worker", self._saved)) is not None:
                await safe
        await self.exporters.bound.close()
        return exporter


@contextlib.asynccontextmanager
async def process(folder: Path | None, bound: int | None = BOUND) -> AsyncIterator[Process]:
    running = Process(folder, bound)
    await running.exporters.spool.start(5)
    try:
        yield running
    finally:
        await running.exporters.close(0)


async def test_the_oldest_of_all_destinations_are_dropped(tmp_path: Path) -> None:
    """The spans of a destination that came first make room for those of another one, and are counted."""
    async with process(tmp_path) as running:
        old = await running.send("old", 10)
        new = await running.send("new", 12)

        assert running.exporters.bound.bytes <= BOUND
        assert books(new) == (0, 0, 0, 12)
        _, _, dropped, waiting = books(old)
        assert dropped + waiting == 10
        assert old.accounting.dropped["spool_full"] == dropped > 0
        assert waiting > 0
        assert running.metrics.value(SPOOL_MAX_BYTES) == BOUND
        assert 0 < running.metrics.value(SPOOL_BYTES) <= BOUND


async def test_a_restarted_process_keeps_the_bound(tmp_path: Path) -> None:
    """Also if it is lower than before: the oldest spans of the last process are dropped."""
    async with process(tmp_path, None) as running:
        await running.send("old", 22)
    async with process(tmp_path) as running:
        await running.exporters.bound.close()

        assert 0 < running.exporters.bound.bytes <= BOUND
        (status,) = running.exporters.status()
        assert status["restored"] == 22
        assert status["dropped"]["spool_full"] == 22 - status["spooled"] - status["in_flight"] > 0


@pytest.mark.parametrize("bound", [None, 1 << 30])
async def test_without_need_nothing_is_dropped(tmp_path: Path, bound: int | None) -> None:
    """Neither below the bound, nor without one."""
    async with process(tmp_path, bound) as running:
        exporter = await running.send("c", 40)

        assert books(exporter) == (0, 0, 0, 40)


async def test_memory_takes_no_disk_space() -> None:
    """Spans that are in memory alone, because the disk takes none, have a bound of their own."""
    async with process(None) as running:
        exporter = await running.send("c", 40)

        assert running.exporters.bound.bytes == 0
        assert books(exporter) == (0, 0, 0, 40)


async def test_spans_in_flight_are_not_dropped(tmp_path: Path) -> None:
    """They are on their way; the bound holds again when the collector has answered."""
    async with process(tmp_path, PADDING) as running:
        running.transport.gate.clear()
        exporter = await running.send("c", 1)
        while not exporter.accounting.in_flight:
            await asyncio.sleep(0.01)
        running.exporters.bound.enforce()
        await running.exporters.bound.close()

        assert books(exporter) == (0, 0, 0, 1)
        running.transport.gate.set()
