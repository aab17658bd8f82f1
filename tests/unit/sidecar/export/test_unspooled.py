"""Promises of sidecar/export/unspooled.py: batches that the disk refuses are kept in memory, bounded, and stored."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from delivery_doubles import ScriptedTransport, encoded, until
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporter import Exporter
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.spool.folder import SpoolFolder
from otlp_tracing.sidecar.spool.writer import Writer
from otlp_tracing.sidecar.telemetry.registry import Metrics


class Life:
    """One process; its collector is away."""

    def __init__(self, folder: Path, max_memory_bytes: int = 1 << 20) -> None:
        self.collector = ScriptedTransport(lambda _: ExportResult(Action.RETRY, "UNAVAILABLE: no connection"))
        self.exporters = ExporterRegistry(Metrics(), {}, folder, lambda _: self.collector, max_memory_bytes)

    async def __aenter__(self) -> Life:
        await self.exporters.spool.start(5)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.exporters.close(0)

    def exporter(self) -> Exporter:
        settings = Settings.from_config({"endpoint": "http://c:1", "batch_export": {"timeout": 600_000}})
        return self.exporters.get(Destination.from_settings(settings, {}))

    async def send(self, name: str, padding: int = 0) -> None:
        self.exporters.submit(self.exporter().destination, [encoded(name, padding)], 0)
        saved = self.exporters.save(b"worker", 1)
        if saved is not None:
            await saved


def test_memory_is_bounded_while_the_disk_refuses(tmp_path: Path) -> None:
    """Past the bound the oldest are dropped and counted; the others are stored when the disk recovers."""

    async def scene() -> None:
        (tmp_path / "spool").write_text("a file")
        async with Life(tmp_path / "spool", max_memory_bytes=5_500) as life:
            for number in range(10):
                await life.send(str(number), 1000)
            assert life.exporter().accounting.dropped == {"memory_full": 6}
            assert life.exporter().accounting.discrepancy == 0
            (tmp_path / "spool").unlink()
            await until(lambda: life.exporters.spool.trouble is None)
        async with Life(tmp_path / "spool") as life:
            assert life.exporter().accounting.restored == 4

    asyncio.run(scene())


def test_batches_wait_in_memory_for_a_spool_in_use(tmp_path: Path) -> None:
    """When the other process has ended they are stored, and the next process finds them."""

    async def scene() -> None:
        holder = SpoolFolder(tmp_path)
        async with Life(tmp_path) as life:
            await life.send("a")
            assert "another sidecar" in str(life.exporters.spool.trouble)
            holder.close()
            await until(lambda: life.exporters.spool.trouble is None)
        async with Life(tmp_path) as life:
            assert life.exporter().accounting.restored == 1

    asyncio.run(scene())


def test_an_internal_error_on_the_way_to_the_disk_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records are acknowledged, so no worker sends them again: their spans wait in memory."""

    def raising(*_: object) -> None:
        raise MemoryError

    async def scene() -> None:
        async with Life(tmp_path) as life:
            with monkeypatch.context() as patched:
                patched.setattr(Writer, "write", raising)
                await life.send("a")
            assert life.exporter().accounting.spooled == 1
            await until(lambda: life.exporters.spool.trouble is None)
        async with Life(tmp_path) as life:
            assert life.exporter().accounting.restored == 1

    asyncio.run(scene())


def test_a_batch_that_is_delivered_from_memory_is_not_stored(tmp_path: Path) -> None:
    """The next process does not send it again."""

    async def scene() -> None:
        holder = SpoolFolder(tmp_path)
        async with Life(tmp_path) as life:
            life.collector.answer = lambda _: ExportResult(Action.SUCCESS)
            await life.send("a")
            await life.exporter().close(5)
            assert life.collector.accepted == ["a"]
            holder.close()
            await until(lambda: life.exporters.spool.trouble is None)
        async with Life(tmp_path) as life:
            assert life.exporters.status() == []

    asyncio.run(scene())
