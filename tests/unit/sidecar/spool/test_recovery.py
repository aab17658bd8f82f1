"""Promises of sidecar/spool/recovery.py: the readable batches of a broken file are recovered, the others counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from delivery_doubles import SpoolLife, until
from otlp_tracing.sidecar.spool.database import Database
from otlp_tracing.sidecar.spool.recovery import Recovery


async def damaged_spool(folder: Path, broken: Callable[[int], Iterable[int]]) -> tuple[list[str], bytes]:
    """Store a thousand batches and overwrite pages of the file, chosen by their count; return texts and file."""
    texts = [f"{number:04} " + "x" * 400 for number in range(1000)]
    async with SpoolLife(folder) as life:
        await life.append(*texts)
    file = folder / "spool.db"
    damaged = bytearray(file.read_bytes())
    for page in broken(len(damaged) // 4096):
        damaged[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    file.write_bytes(damaged)
    return texts, bytes(damaged)


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000, os.urandom(50_000)])
def test_a_file_that_is_not_a_database_is_put_aside(tmp_path: Path, content: bytes) -> None:
    """It does not delay the start and is kept for a person; an empty one is used as new."""

    async def scene() -> None:
        (tmp_path / "spool.db").write_bytes(content)
        async with SpoolLife(tmp_path) as life:
            assert life.spool.trouble is None
            await life.append("spans")
        assert not content or (tmp_path / "spool.corrupt-1").read_bytes() == content
        async with SpoolLife(tmp_path) as life:
            assert await life.bodies() == [b"spans"]

    asyncio.run(scene())


def test_all_but_a_broken_page_is_recovered(tmp_path: Path) -> None:
    """A page in the middle is overwritten: its batches are lost and counted, all others are there."""

    async def scene() -> None:
        texts, _ = await damaged_spool(tmp_path, lambda pages: [pages // 2])
        async with SpoolLife(tmp_path) as life:
            bodies = [body.decode() for body in await life.bodies()]
            (lost,) = life.opened[0].lost_spans.values()
        assert set(bodies) < set(texts)
        assert len(bodies) > 950
        assert lost == 2 * (1000 - len(bodies))
        async with SpoolLife(tmp_path) as life:
            assert len(await life.bodies()) == len(bodies)

    asyncio.run(scene())


def test_batches_between_two_broken_pages_are_recovered(tmp_path: Path) -> None:
    """Overwritten pages cost only those batches that SQLite cannot find by their ids any more."""

    async def scene() -> None:
        _, damaged = await damaged_spool(
            tmp_path, lambda pages: [pages // 5, pages // 2, pages // 2 + 1, pages * 4 // 5]
        )
        copy = tmp_path / "copy.db"
        copy.write_bytes(damaged)
        findable = set()
        with closing(sqlite3.connect(copy)) as connection:
            (last,) = connection.execute("SELECT last_id FROM destination").fetchone()
            for id_ in range(last - 999, last + 1):
                with contextlib.suppress(sqlite3.DatabaseError):
                    findable.add(connection.execute("SELECT body FROM row WHERE id = ?", (id_,)).fetchone()[0])
        async with SpoolLife(tmp_path) as life:
            assert set(await life.bodies()) == findable
            (lost,) = life.opened[0].lost_spans.values()
        assert 900 < len(findable) < 1000
        assert lost == 2 * (1000 - len(findable))

    asyncio.run(scene())


def test_a_changed_byte_in_a_batch_costs_that_batch(tmp_path: Path) -> None:
    """Its checksum does not fit, so it is not sent."""

    async def scene() -> None:
        async with SpoolLife(tmp_path) as life:
            await life.append("whole", "broken", "also whole")
        content = (tmp_path / "spool.db").read_bytes()
        (tmp_path / "spool.db").write_bytes(content.replace(b"broken", b"brokem"))
        async with SpoolLife(tmp_path) as life:
            sound, broken = await life.load()
            assert [batch.body for batch in sound] == [b"whole", b"also whole"]
            assert [batch.body for batch in broken] == [b"brokem"]

    asyncio.run(scene())


def test_a_half_made_file_is_replaced(tmp_path: Path) -> None:
    """A kill or a full disk can come before the salt is written."""

    async def scene() -> None:
        async with SpoolLife(tmp_path):
            pass
        with closing(sqlite3.connect(tmp_path / "spool.db")) as connection, connection:
            connection.execute("DELETE FROM meta")
        async with SpoolLife(tmp_path) as life:
            await life.append("spans")
            assert life.spool.trouble is None
        async with SpoolLife(tmp_path) as life:
            assert await life.bodies() == [b"spans"]

    asyncio.run(scene())


def test_a_flipped_bit_of_the_first_page_does_not_stop_the_spool(tmp_path: Path) -> None:
    """The page has the file's header and its schema, and SQLite reports a flipped bit there in many ways."""

    async def scene() -> None:
        async with SpoolLife(tmp_path / "whole") as life:
            await life.append("spans")
        content = bytearray((tmp_path / "whole" / "spool.db").read_bytes())
        offsets = [offset for offset in range(4096) if content[offset]]
        for number, offset in enumerate(offsets[:: max(1, len(offsets) // 120)]):
            flipped = bytearray(content)
            flipped[offset] ^= 1 << number % 8
            folder = tmp_path / str(number)
            folder.mkdir(mode=0o700)
            (folder / "spool.db").write_bytes(flipped)
            async with SpoolLife(folder) as life:
                assert life.spool.trouble is None, offset
                await asyncio.wait_for(life.append("new", to="b"), 5)
                assert life.spool.trouble is None, offset
            async with SpoolLife(folder) as life:
                assert b"new" in await life.bodies(), offset

    asyncio.run(scene())


def test_an_interrupted_recovery_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same process repeats it when the disk recovers, and so does the next process."""
    copy_into = Recovery.copy_into

    def interrupted(recovery: Recovery, database: Database) -> dict[bytes, int]:
        with database.transaction():
            copy_into(recovery, database)
            raise sqlite3.OperationalError("database or disk is full")

    async def scene() -> None:
        texts = [f"{number:04}" for number in range(100)]
        async with SpoolLife(tmp_path) as life:
            await life.append(*texts)
        with closing(sqlite3.connect(tmp_path / "spool.db")) as connection, connection:
            connection.execute("DELETE FROM meta")
        monkeypatch.setattr(Recovery, "copy_into", interrupted)
        async with SpoolLife(tmp_path) as life:
            assert life.spool.trouble is not None
        async with SpoolLife(tmp_path) as life:
            assert life.spool.trouble is not None
            monkeypatch.undo()
            await until(lambda: life.spool.trouble is None)
            assert sorted(await life.bodies()) == [text.encode() for text in texts]
        assert (tmp_path / "spool.corrupt-1").exists()

    asyncio.run(scene())
