"""Promises of sidecar/spool/writer.py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from pathlib import Path

import pytest

from otlp_tracing import log_limit
from otlp_tracing.sidecar.spool import writer as module
from otlp_tracing.sidecar.spool.database import Database
from otlp_tracing.sidecar.spool.schema import FORMAT
from otlp_tracing.sidecar.spool.writer import DiskError, Writer

LONG = 3600.0


def nothing(_: Database) -> None:
    """Change nothing."""


def test_transactions_are_apart_unless_somebody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that come after one share the next; a read and the end do not wait for it."""
    monkeypatch.setattr(module, "SYNC_SECONDS", LONG)

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


def test_what_was_written_is_on_the_disk_after_fifty_milliseconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often something is written meanwhile."""
    synced: list[float] = []
    monkeypatch.setattr(os, "fdatasync", lambda _: synced.append(time.monotonic()))

    async def lag(writer: Writer) -> float:
        await asyncio.sleep(3 * module.SYNC_SECONDS)  # until everything written before is synchronized
        synced.clear()
        await writer.write(nothing)
        written = time.monotonic()
        while not synced:
            await asyncio.sleep(0.045)
            await writer.write(nothing)
        return synced[0] - written

    async def scenario() -> list[float]:
        writer = Writer(tmp_path / "spool")
        await writer.open()
        lags = [await lag(writer)]
        while min(lags) >= bound and len(lags) < 40:
            lags.append(await lag(writer))
        await writer.close(5)
        return lags

    # The best of some: the machine may be busy, the spool must not be.
    bound = module.SYNC_SECONDS + 0.02
    assert min(asyncio.run(scenario())) < bound


def test_internal_errors_do_not_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every job has its error; those of one interval are one line, since a busy sidecar has fifty jobs a second."""
    monkeypatch.setattr(log_limit, "INTERVAL_SECONDS", 3600.0)

    def raising(_: Database) -> None:
        raise KeyError("an internal error")

    async def scenario() -> None:
        writer = Writer(tmp_path / "spool", gather_seconds=0.0)
        await writer.open()
        for _ in range(100):
            with pytest.raises(DiskError, match="KeyError"):
                await writer.write(raising)
        await writer.close(5)

    asyncio.run(scenario())

    assert caplog.text.count("internal error in spool") == 1


def test_a_disk_that_breaks_each_file_does_not_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each job has a new file; the damages of one interval are one line, and the recoveries another."""
    monkeypatch.setattr(log_limit, "INTERVAL_SECONDS", 3600.0)

    def broken(_: Database) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    async def scenario() -> None:
        writer = Writer(tmp_path / "spool")
        await writer.open()
        for _ in range(3):
            with pytest.raises(DiskError, match="malformed"):
                await writer.read(broken)
        await writer.close(5)

    asyncio.run(scenario())

    assert [line.partition(":")[0] for line in caplog.messages] == ["spool damaged", "spool recovered"]


def test_a_newer_file_on_a_full_disk_does_not_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The sidecar tries each second to make a file of its own format; the attempts of one interval are one line."""
    monkeypatch.setattr(log_limit, "INTERVAL_SECONDS", 3600.0)

    def full(_: Path) -> Database:
        raise sqlite3.OperationalError("database or disk is full")

    async def scenario() -> None:
        writer = Writer(tmp_path)
        for _ in range(3):
            with pytest.raises(DiskError, match="full"):
                await writer.open()
        await writer.close(5)

    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as newer:
        newer.execute(f"PRAGMA user_version={FORMAT + 1}")
        newer.execute("CREATE TABLE one (x)")
    monkeypatch.setattr(module, "Database", full)
    asyncio.run(scenario())

    assert [line.partition(" in ")[0] for line in caplog.messages] == ["spool format is newer"]


def test_a_disk_that_does_not_sync_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Committed data is not safe then, although every write succeeds."""
    errors: list[DiskError] = []

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    async def scenario() -> None:
        writer = Writer(tmp_path / "spool", errors.append)
        await writer.open()
        monkeypatch.setattr(os, "fdatasync", fail)
        await writer.write(nothing)
        while not errors:
            await asyncio.sleep(0.01)
        with pytest.raises(DiskError):
            await writer.sync()
        monkeypatch.undo()
        await writer.sync()
        await writer.close(5)

    asyncio.run(asyncio.wait_for(scenario(), 10))
