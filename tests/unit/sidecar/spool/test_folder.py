"""Promises of sidecar/spool/folder.py: the folder is private, and only files of the known format are used."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from delivery_doubles import SpoolLife
from otlp_tracing.sidecar.spool.folder import SpoolFolder
from otlp_tracing.sidecar.spool.writer import DiskError


def test_the_spool_is_private(tmp_path: Path) -> None:
    """Folders are 0700 and files 0600, even if they were wider before; secrets are not in the files."""

    async def scene() -> None:
        folder = tmp_path / "deep" / "spool"
        folder.mkdir(parents=True, mode=0o755)
        async with SpoolLife(folder) as life:
            digest = life.spool.digest(b"a secret in the identity")
            assert digest is not None
            await life.append("spans", to="no secret")

            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
            assert set(modes.values()) == {0o600}
            assert not any(b"a secret" in path.read_bytes() for path in folder.iterdir())

    asyncio.run(scene())


def test_folders_on_the_way_are_private(tmp_path: Path) -> None:
    """A folder that is created above the spool is 0700 too: the sidecar's socket lies in it."""
    before = os.umask(0o022)
    try:
        SpoolFolder(tmp_path / "sidecar" / "spool").close()
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "sidecar").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["spool", "spool/spool.db", "spool/spool.lock", "spool/spool.db-wal"])
def test_links_are_not_followed(tmp_path: Path, name: str) -> None:
    """A link in place of the folder or a file is refused, and nothing is written to its target."""

    async def scene() -> None:
        target = tmp_path / "elsewhere"
        target.mkdir()
        (tmp_path / name).parent.mkdir(exist_ok=True, mode=0o700)
        (tmp_path / name).symlink_to(target if name == "spool" else target / "file")
        async with SpoolLife(tmp_path / "spool") as life:
            with pytest.raises(DiskError):
                await life.append("spans")
            assert life.spool.trouble
        assert list(target.iterdir()) == []

    asyncio.run(scene())


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    """No byte of a newer file changes, and a file of this version is used beside it at every start."""

    async def scene() -> None:
        async with SpoolLife(tmp_path) as life:
            await life.append("old")
        with closing(sqlite3.connect(tmp_path / "spool.db")) as connection:
            connection.execute("PRAGMA user_version=99")
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        before = (tmp_path / "spool.db").read_bytes()
        for _ in range(2):
            async with SpoolLife(tmp_path) as life:
                assert life.spool.trouble is None
                await life.append("new")
        async with SpoolLife(tmp_path) as life:
            assert await life.bodies() == [b"new", b"new"]
        assert (tmp_path / "spool.db").read_bytes() == before

    asyncio.run(scene())
