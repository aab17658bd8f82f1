"""Promises of sidecar/spool/spool.py: stored batches are there after a restart, whatever the disk does meanwhile."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import time
from pathlib import Path

import pytest

from delivery_doubles import SpoolLife, until
from files import size
from otlp_tracing import log_limit
from otlp_tracing.sidecar.spool.folder import SpoolFolder
from otlp_tracing.sidecar.spool.writer import SYNC_SECONDS, DiskError, Writer


def test_batches_outlast_the_process(tmp_path: Path) -> None:
    """After a restart, batches that were not deleted are there, with destinations, totals and last records."""

    async def scene() -> None:
        async with SpoolLife(tmp_path / "spool") as life:
            (first,) = await life.append("1", last_records={b"worker": 6})
            await life.append("2", spans=3)
            await life.append("3", to="b", last_records={b"worker": 7})
            await life.spool.delete([first])
        async with SpoolLife(tmp_path / "spool") as life:
            (opened,) = life.opened
            assert await life.bodies() == [b"2", b"3"]
            assert [(one.description, one.batches, one.spans) for one in opened.destinations] == [
                ('{"name": "a"}', 1, 3),
                ('{"name": "b"}', 1, 2),
            ]
            assert opened.last_records == {b"worker": 7}
            assert opened.destinations[0].digest == life.spool.digest(b"a")

    asyncio.run(scene())


def test_an_internal_error_on_the_way_to_the_disk_is_a_disk_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller keeps the batch in memory, and the spool recovers."""

    def raising(*_: object) -> None:
        raise MemoryError

    async def scene() -> None:
        async with SpoolLife(tmp_path) as life:
            with monkeypatch.context() as patched:
                patched.setattr(Writer, "write", raising)
                with pytest.raises(DiskError):
                    await life.append("1")
            await until(lambda: life.spool.trouble == "MemoryError: ")
            await until(lambda: life.spool.trouble is None)
            await life.append("2")

    asyncio.run(scene())


def test_the_first_failure_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A spool that cannot be opened at the start says so in the log, once."""

    async def scene() -> None:
        (tmp_path / "spool").write_text("a file")
        async with SpoolLife(tmp_path / "spool"):
            await until(lambda: caplog.records)
            await asyncio.sleep(0.1)  # in which it would be said again
        assert [one.message.partition(":")[0] for one in caplog.records if one.levelname == "ERROR"] == [
            "spool write failed"
        ]

    asyncio.run(scene())


def test_an_internal_error_in_the_recovery_does_not_end_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next attempt comes a second later, as after an error of the disk."""

    async def scene() -> None:
        async with SpoolLife(tmp_path) as life:
            life.spool.is_available = False
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(life.spool, "_store_unspooled", None)  # which cannot be called
                await until(lambda: "internal error in spool" in caplog.text)
            await until(lambda: life.spool.is_available)

    asyncio.run(scene())


def test_a_deletion_that_fails_is_repeated(tmp_path: Path) -> None:
    """Its future is done once the disk has taken it."""

    async def scene() -> None:
        async with SpoolLife(tmp_path) as life:
            ids = await life.append("1", "2")
            life.spool.is_available = False
            deleted = life.spool.delete(ids[:1])
            await asyncio.wait_for(deleted, 5)
            await until(lambda: life.spool.is_available)
        async with SpoolLife(tmp_path) as life:
            assert await life.bodies() == [b"2"]

    asyncio.run(scene())


def test_a_file_of_deleted_batches_is_replaced_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk refuses even deletions; if no batch is needed, a new file takes less room."""

    async def scene() -> None:
        async with SpoolLife(tmp_path) as life:
            ids = await life.append("1", "2")
            life.spool.is_available = False

            def refuse(*_: object) -> None:
                raise DiskError("database or disk is full")

            monkeypatch.setattr("otlp_tracing.sidecar.spool.spool.Database.delete", refuse, raising=False)
            await asyncio.wait_for(life.spool.delete(ids), 5)
            assert (await life.append("3"))[0] > max(ids)
        async with SpoolLife(tmp_path) as life:
            assert await life.bodies() == [b"3"]

    asyncio.run(scene())


def test_a_new_file_is_made_as_soon_as_the_disk_takes_one(tmp_path: Path) -> None:
    """On a disk that takes nothing the old file is deleted, and the new one is made when there is room.

    The double of a full disk is a limit on the size of files: no file can be written.
    """

    async def scene() -> None:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        async with SpoolLife(tmp_path) as life:
            ids = await life.append("1", "2")
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
            try:
                deleted = life.spool.delete(ids)
                await until(lambda: size(tmp_path / "spool.db") == 0)
                assert life.spool.trouble is not None
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            await asyncio.wait_for(deleted, 5)
            await until(lambda: life.spool.trouble is None)
            assert (await life.append("3"))[0] > max(ids)
        async with SpoolLife(tmp_path) as life:
            assert await life.bodies() == [b"3"]

    asyncio.run(scene())


def test_a_file_is_read_on_a_full_disk(tmp_path: Path) -> None:
    """A sidecar that starts on a full disk reads the batches of a killed one, which can then be delivered.

    The double of a full disk is a limit on the size of files: no file can be written.
    """

    async def scene() -> None:
        async with SpoolLife(tmp_path / "spool") as life:
            await life.spool.delete(await life.append("0", to="b"))
            await life.append("1", "2")
            shutil.copytree(tmp_path / "spool", tmp_path / "killed")
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
        try:
            async with SpoolLife(tmp_path / "killed") as life:
                assert await life.bodies() == [b"1", b"2"]
                with pytest.raises(DiskError):
                    await life.append("4")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        async with SpoolLife(tmp_path / "killed") as life:
            assert await life.bodies() == [b"1", b"2"]

    asyncio.run(scene())


def test_a_file_that_is_deleted_again_and_again_does_not_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file system whose inode numbers change looks the same; the new files of one interval are one line."""
    monkeypatch.setattr(log_limit, "INTERVAL_SECONDS", 3600.0)

    async def scene() -> None:
        async with SpoolLife(tmp_path / "spool") as life:
            for _ in range(3):
                (tmp_path / "spool" / "spool.db").unlink()
                await until((tmp_path / "spool" / "spool.db").exists)
                await life.append("1")

    asyncio.run(scene())

    assert [line.partition(":")[0] for line in caplog.messages if "deleted" in line] == ["spool deleted"]


@pytest.mark.parametrize("deleted", [".", "spool.db", "spool.db-wal"])
def test_a_deleted_file_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture, deleted: str) -> None:
    """Stored batches outlast the process also if a person deletes the folder, or a file of it, while it runs."""
    folder = tmp_path / "spool"

    async def scene() -> None:
        async with SpoolLife(folder) as life:
            (first, _) = await life.append("1", "2", last_records={b"worker": 6})
            gone = folder / deleted
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
            await until(lambda: "spool deleted" in caplog.text)
            assert life.spool.trouble is None
            await life.append("3", to="b")
            await life.spool.delete([first])
            copy = shutil.copytree(folder, tmp_path / "copy")
        async with SpoolLife(copy) as life:
            assert await life.bodies() == [b"2", b"3"]
            assert life.opened[0].last_records == {b"worker": 6}

    asyncio.run(scene())


def test_a_deleted_folder_that_cannot_be_made_again_is_trouble(tmp_path: Path) -> None:
    """Nothing is stored then, and the reason is said; the stored batches are kept until the folder is back."""
    folder = tmp_path / "spool"

    async def scene() -> None:
        async with SpoolLife(folder) as life:
            await life.append("1")
            shutil.rmtree(folder)
            folder.write_text("a file")
            await until(lambda: "its file was deleted" in (life.spool.trouble or ""))
            folder.unlink()
            await until(lambda: life.spool.trouble is None)
            await life.append("2")
        async with SpoolLife(folder) as life:
            assert await life.bodies() == [b"1", b"2"]

    asyncio.run(scene())


def test_the_file_shrinks_after_an_outage(tmp_path: Path) -> None:
    """When the batches are deleted the disk gets its space back, except for a few mebibytes."""

    async def scene() -> None:
        async with SpoolLife(tmp_path) as life:
            ids = []
            for _ in range(40):
                ids += await life.append("x" * 500_000)
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) > 20_000_000
            await life.spool.delete(ids)
            await until(lambda: sum(path.stat().st_size for path in tmp_path.iterdir()) < 12_000_000)

    asyncio.run(scene())


def test_a_copy_of_the_files_at_any_time_holds_the_stored_batches(tmp_path: Path) -> None:
    """The files, as a killed process leaves them, have every stored batch and no deleted one."""

    async def scene() -> None:
        async with SpoolLife(tmp_path / "spool") as life:
            for number in range(50):
                ids = await life.append(str(number))
                if number % 3 == 0:
                    await life.spool.delete(ids)
            shutil.copytree(tmp_path / "spool", tmp_path / "copy")
        async with SpoolLife(tmp_path / "copy") as life:
            assert await life.bodies() == [str(number).encode() for number in range(50) if number % 3]

    asyncio.run(scene())


def test_a_commit_is_synchronized_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is synchronized some fifty milliseconds after a commit, once for many, and not without a commit."""
    synced: list[float] = []
    monkeypatch.setattr(os, "fdatasync", lambda _: synced.append(time.monotonic()))

    async def scene() -> None:
        async with SpoolLife(tmp_path, recovery_seconds=60) as life:
            await until(lambda: synced)  # of the opening
            synced.clear()
            begun = time.monotonic()
            for _ in range(5):
                await life.append("spans")
            written = time.monotonic()
            await until(lambda: synced and synced[-1] > written)
            assert len(synced) <= 2 + (time.monotonic() - begun) / SYNC_SECONDS
            synced.clear()
            await asyncio.sleep(4 * SYNC_SECONDS)
            assert synced == []

    asyncio.run(scene())


def test_two_processes_do_not_share_a_spool(tmp_path: Path) -> None:
    """The second one waits until the first has ended, says why, and then takes the file over."""

    async def scene() -> None:
        holder = SpoolFolder(tmp_path)
        async with SpoolLife(tmp_path) as life:
            assert "another sidecar" in str(life.spool.trouble)
            holder.close()
            await until(lambda: life.spool.trouble is None)
            await life.append("1")

    asyncio.run(scene())
