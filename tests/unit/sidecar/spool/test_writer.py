"""Promises of sidecar/spool/writer.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

from otlp_tracing.sidecar.spool.database import Database
from otlp_tracing.sidecar.spool.writer import Writer

LONG = 3600.0


def nothing(_: Database) -> None:
    """Change nothing."""


def test_transactions_are_apart_unless_somebody_waits(tmp_path: Path) -> None:
    """What comes after one becomes the next together, at once for who reads, and at the end."""

    async def scenario() -> None:
        writer = Writer(tmp_path / "spool", gather_seconds=LONG)
        await writer.open()
        await asyncio.wait_for(writer.write(nothing), 5)
        written = writer.write(nothing)
        done, _ = await asyncio.wait([written], timeout=0.1)
        assert not done

        await asyncio.wait_for(writer.read(nothing), 5)
        assert written.done()

        last = writer.write(nothing)
        await writer.close(5)
        await asyncio.wait_for(last, 5)

    asyncio.run(scenario())
