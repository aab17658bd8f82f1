"""Promises of sidecar/spool/tally.py: every span that a damaged spool loses is counted, once."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from delivery_doubles import SpoolLife
from otlp_tracing.sidecar.spool.batch import SpooledBatch
from otlp_tracing.sidecar.spool.database import Database


def _left_by_a_kill(folder: Path, batches: int, delivered: int = 0) -> Path:
    """Make a spool with its batches in the log alone, as a killed process leaves it; 2 spans a batch."""
    life = folder / "life"
    life.mkdir(parents=True)
    database = Database(life / "spool.db")
    database.compare_with_tally()
    for number in range(batches):
        with database.transaction():
            ids = database.append(b"d" * 16, "{}", [SpooledBatch(f"{number} ".encode() + b"x" * 3000, 2, 1_000)])
        if number == batches // 2:
            shutil.copy(life / "spool.db-tally", folder / "older-tally")
    for number in range(delivered):
        with database.transaction():
            database.delete([ids[0] - batches + 1 + number])
    left = shutil.copytree(life, folder / "left")
    database.close(is_broken=True)
    return left


def _opened(folder: Path) -> tuple[int, int, int]:
    """Return the spans that a spool has, those that it reports as lost, and the number of batches it ever had."""

    async def scenario() -> tuple[int, int, int]:
        async with SpoolLife(folder) as life:
            (opened,) = life.opened
            (one,) = opened.destinations
            return one.spans, sum(opened.lost_spans.values()), one.last_id - one.first_id

    return asyncio.run(scenario())


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("delivered", [0, 20])
def test_the_loss_of_a_damaged_log_is_counted(tmp_path: Path, keep: float, delivered: int) -> None:
    """Wherever the log is cut or a byte of it flips, found and lost spans add up to those that were stored."""
    for damage in ("cut", "flip"):
        left = _left_by_a_kill(tmp_path / damage, 60, delivered)
        log = left / "spool.db-wal"
        at = min(int(log.stat().st_size * keep), log.stat().st_size - 1)
        if damage == "cut":
            os.truncate(log, at)
        else:
            with log.open("r+b") as file:
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes((byte ^ 1,)))
        found, lost, batches = _opened(left)

        # If a deletion is lost, delivered spans are found again: they are sent twice, and are not lost.
        assert lost == 2 * (60 - max(batches if found else 0, delivered))
        assert found + lost == 120 if not delivered else found + lost >= 80


def test_the_loss_of_an_unreadable_file_is_counted(tmp_path: Path) -> None:
    """Also if the first page, with the table of destinations, or the whole file is gone."""
    for number, damage in enumerate((b"\xff" * 4096, b"")):
        left = _left_by_a_kill(tmp_path / f"{number}", 10)
        (left / "spool.db-wal").unlink()
        (left / "spool.db").write_bytes(damage)

        assert _opened(left)[:2] == (0, 20)


def test_a_loss_is_counted_once(tmp_path: Path) -> None:
    """The next process counts from the spans that are there."""
    left = _left_by_a_kill(tmp_path, 10)
    os.truncate(left / "spool.db-wal", (left / "spool.db-wal").stat().st_size // 2)
    found, lost, _ = _opened(left)

    assert found + lost == 20
    assert _opened(left)[:2] == (found, 0)


def test_a_sound_file_lacks_nothing(tmp_path: Path) -> None:
    """After a kill at any moment, also with a tally that is older than the file, garbage, or missing."""
    left = _left_by_a_kill(tmp_path, 10, 4)
    tally, older = (left / "spool.db-tally").read_bytes(), (tmp_path / "older-tally").read_bytes()
    for number, noted in enumerate((tally, older, b"garbage" * 999, b"", None)):
        copy = shutil.copytree(left, tmp_path / f"copy {number}")
        (copy / "spool.db-tally").unlink()
        if noted is not None:
            (copy / "spool.db-tally").write_bytes(noted)

        assert _opened(copy) == (12, 0, 10)
