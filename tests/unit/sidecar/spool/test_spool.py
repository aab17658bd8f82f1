"""Promises of sidecar/spool/: what is safe is there again after a restart, whatever the disk does meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from otlp_tracing.sidecar.spool.batch import SpooledBatch
from otlp_tracing.sidecar.spool.database import Database
from otlp_tracing.sidecar.spool.recovery import Recovery
from otlp_tracing.sidecar.spool.spool import Spool
from otlp_tracing.sidecar.spool.writer import SYNC_SECONDS, OpenedSpool, Writer


class Owner:
    """A destination's backlog, as far as the spool sees it."""

    def __init__(self, name: str = "a") -> None:
        self.identity = name.encode()
        self.description = f'{{"name": "{name}"}}'
        self.rows: list[SpooledBatch] = []
        self.gone: list[int] = []
        self.dropped: list[SpooledBatch] = []

    def add(self, rows: Sequence[SpooledBatch]) -> None:
        for row in rows:
            row.is_waiting = True
        self.rows += rows

    def stored(self, row: SpooledBatch) -> None:
        assert row.id

    def released(self, ids: Iterable[int]) -> None:
        self.gone += ids

    def overflow(self, row: SpooledBatch) -> None:
        self.dropped.append(row)


class Life:
    """One process on a spool."""

    def __init__(self, folder: Path, max_memory_bytes: int = 1 << 20) -> None:
        self.opened: list[OpenedSpool] = []
        self.spool = Spool(folder, self.opened.append, max_memory_bytes, mend_seconds=0.02)

    async def __aenter__(self) -> Life:
        await self.spool.start(5)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.spool.close(5)

    async def bodies(self) -> list[bytes]:
        """Everything that was on disk when it was opened, destination by destination."""
        bodies = []
        for stored in self.opened[0].destinations:
            loaded = await self.spool.load(stored.first_id, stored.last_id, 1 << 30, ())
            assert loaded.broken == []
            bodies += [row.body for row in loaded.rows]
        return bodies


def row(text: str = "spans", spans: int = 2) -> SpooledBatch:
    return SpooledBatch(text.encode(), spans, 1_000)


async def until(condition: object) -> None:
    for _ in range(500):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within five seconds")


def test_rows_outlast_the_process(tmp_path: Path) -> None:
    """What was appended and not deleted is there again, with its destination, its counts and its senders."""

    async def scene() -> None:
        async with Life(tmp_path / "spool") as life:
            a, b = Owner("a"), Owner("b")
            await life.spool.append([(a, [row("1"), row("2", 3)]), (b, [row("3")])], {b"sender": 7})
            life.spool.delete(a, [a.rows[0]])
            await until(lambda: a.gone)
        async with Life(tmp_path / "spool") as life:
            (opened,) = life.opened
            assert await life.bodies() == [b"2", b"3"]
            assert [(one.description, one.rows, one.spans) for one in opened.destinations] == [
                ('{"name": "a"}', 1, 3),
                ('{"name": "b"}', 1, 2),
            ]
            assert opened.senders == {b"sender": 7}
            assert opened.destinations[0].digest == life.spool.digest(b"a")

    asyncio.run(scene())


def test_the_spool_is_the_owners_alone(tmp_path: Path) -> None:
    """The folder is 0700 and its files 0600, even where they had been wider; secrets are not in them."""

    async def scene() -> None:
        folder = tmp_path / "deep" / "spool"
        folder.mkdir(parents=True, mode=0o755)
        async with Life(folder) as life:
            owner = Owner("a secret in the identity")
            owner.description = "no secret"
            await life.spool.append([(owner, [row()])], {})

            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
            assert set(modes.values()) == {0o600}
            assert not any(b"a secret" in path.read_bytes() for path in folder.iterdir())

    asyncio.run(scene())


@pytest.mark.parametrize("name", ["spool", "spool/spool.db", "spool/spool.lock", "spool/spool.db-wal"])
def test_links_are_not_followed(tmp_path: Path, name: str) -> None:
    """A link in place of folder or file is refused; spans are kept in memory, and nothing is written beyond it."""

    async def scene() -> None:
        target = tmp_path / "elsewhere"
        target.mkdir()
        (tmp_path / name).parent.mkdir(exist_ok=True, mode=0o700)
        (tmp_path / name).symlink_to(target if name == "spool" else target / "file")
        async with Life(tmp_path / "spool") as life:
            owner = Owner()
            await life.spool.append([(owner, [row()])], {})

            assert life.spool.trouble
            assert len(owner.rows) == 1
        assert list(target.iterdir()) == []

    asyncio.run(scene())


def test_two_processes_share_no_spool(tmp_path: Path) -> None:
    """The second keeps its spans in memory until the first has gone, and stores them then."""

    async def scene() -> None:
        async with Life(tmp_path) as first:
            await first.spool.append([(Owner(), [row("1")])], {})
            second = Life(tmp_path)
            async with second:
                owner = Owner()
                await second.spool.append([(owner, [row("2")])], {})
                assert "another sidecar" in str(second.spool.trouble)
                await first.spool.close(5)
                await until(lambda: second.spool.trouble is None)
                assert owner.rows[0].id
        async with Life(tmp_path) as life:
            assert await life.bodies() == [b"1", b"2"]

    asyncio.run(scene())


def test_memory_is_bounded_while_the_disk_takes_nothing(tmp_path: Path) -> None:
    """The oldest rows go, and their owner is told to count them."""

    async def scene() -> None:
        (tmp_path / "spool").write_text("a file")
        async with Life(tmp_path / "spool", max_memory_bytes=5_000) as life:
            owner = Owner()
            for number in range(10):
                await life.spool.append([(owner, [row(str(number) * 1000)])], {})

            assert [row.body[:1] for row in owner.dropped] == [b"0", b"1", b"2", b"3", b"4", b"5"]
            (tmp_path / "spool").unlink()
            await until(lambda: life.spool.trouble is None)
            assert [row.id > 0 for row in owner.rows[6:]] == [True] * 4

    asyncio.run(scene())


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000, os.urandom(50_000)])
def test_a_file_that_is_no_database_is_put_aside(tmp_path: Path, content: bytes) -> None:
    """The start is not held up, the file is kept for a person, and an empty one is used as new."""

    async def scene() -> None:
        (tmp_path / "spool.db").write_bytes(content)
        async with Life(tmp_path) as life:
            assert life.spool.trouble is None
            await life.spool.append([(Owner(), [row()])], {})
        assert not content or (tmp_path / "spool.corrupt-1").read_bytes() == content
        async with Life(tmp_path) as life:
            assert await life.bodies() == [b"spans"]

    asyncio.run(scene())


async def damaged_spool(folder: Path, broken: Callable[[int], Iterable[int]]) -> tuple[list[str], bytes]:
    """Store a thousand rows and overwrite pages of the file, chosen by their count; return rows' texts and the file."""
    texts = [f"{number:04} " + "x" * 400 for number in range(1000)]
    async with Life(folder) as life:
        await life.spool.append([(Owner(), [row(text) for text in texts])], {})
    file = folder / "spool.db"
    damaged = bytearray(file.read_bytes())
    for page in broken(len(damaged) // 4096):
        damaged[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    file.write_bytes(damaged)
    return texts, bytes(damaged)


def test_of_a_broken_file_everything_readable_is_rescued(tmp_path: Path) -> None:
    """A page in the middle is overwritten: the rows on it are lost and counted, all others are there."""

    async def scene() -> None:
        texts, _ = await damaged_spool(tmp_path, lambda pages: [pages // 2])
        async with Life(tmp_path) as life:
            bodies = [body.decode() for body in await life.bodies()]
            (lost,) = life.opened[0].lost_spans.values()
        assert set(bodies) < set(texts)
        assert len(bodies) > 950
        assert lost == 2 * (1000 - len(bodies))
        async with Life(tmp_path) as life:
            assert len(await life.bodies()) == len(bodies)

    asyncio.run(scene())


def test_between_two_broken_pages_everything_readable_is_rescued(tmp_path: Path) -> None:
    """Wherever pages are overwritten, they cost the rows that SQLite cannot find by their ids any more."""

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
        async with Life(tmp_path) as life:
            assert set(await life.bodies()) == findable
            (lost,) = life.opened[0].lost_spans.values()
        assert 900 < len(findable) < 1000
        assert lost == 2 * (1000 - len(findable))

    asyncio.run(scene())


def test_a_changed_byte_in_a_row_costs_that_row(tmp_path: Path) -> None:
    """Its checksum tells; it is not sent to anybody."""

    async def scene() -> None:
        async with Life(tmp_path) as life:
            await life.spool.append([(Owner(), [row("whole"), row("broken"), row("also whole")])], {})
        content = (tmp_path / "spool.db").read_bytes()
        (tmp_path / "spool.db").write_bytes(content.replace(b"broken", b"brokem"))
        async with Life(tmp_path) as life:
            (stored,) = life.opened[0].destinations
            loaded = await life.spool.load(stored.first_id, stored.last_id, 1 << 20, ())
            assert [row.body for row in loaded.rows] == [b"whole", b"also whole"]
            assert [row.body for row in loaded.broken] == [b"brokem"]

    asyncio.run(scene())


def test_a_fault_on_the_way_to_the_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records were taken: nobody sends them again."""

    async def scene() -> None:
        owner = Owner()
        async with Life(tmp_path) as life:
            with monkeypatch.context() as patched:
                patched.setattr(Writer, "write", raising)
                await life.spool.append([(owner, [row()])], {})
            assert [one.body for one in owner.rows] == [b"spans"]
            await until(lambda: life.spool.trouble is None and owner.rows[0].id)
        async with Life(tmp_path) as life:
            assert await life.bodies() == [b"spans"]

    def raising(*_: object) -> None:
        raise MemoryError

    asyncio.run(scene())


def test_a_file_that_was_half_made_is_replaced(tmp_path: Path) -> None:
    """A kill or a full disk can come before the salt is there."""

    async def scene() -> None:
        async with Life(tmp_path):
            pass
        with closing(sqlite3.connect(tmp_path / "spool.db")) as connection, connection:
            connection.execute("DELETE FROM meta")
        async with Life(tmp_path) as life:
            await life.spool.append([(Owner(), [row()])], {})
            assert life.spool.trouble is None
        async with Life(tmp_path) as life:
            assert await life.bodies() == [b"spans"]

    asyncio.run(scene())


def test_whatever_bit_of_the_first_page_flips_the_spool_is_used(tmp_path: Path) -> None:
    """The page has the file's header and its schema; what SQLite says of it is of many kinds."""

    async def scene() -> None:
        async with Life(tmp_path / "whole") as life:
            await life.spool.append([(Owner(), [row()])], {})
        content = bytearray((tmp_path / "whole" / "spool.db").read_bytes())
        places = [place for place in range(4096) if content[place]]
        for number, place in enumerate(places[:: max(1, len(places) // 120)]):
            flipped = bytearray(content)
            flipped[place] ^= 1 << number % 8
            folder = tmp_path / str(number)
            folder.mkdir(mode=0o700)
            (folder / "spool.db").write_bytes(flipped)
            async with Life(folder) as life:
                assert life.spool.trouble is None, place
                await asyncio.wait_for(life.spool.append([(Owner("b"), [row("new")])], {}), 5)
                assert life.spool.trouble is None, place
            async with Life(folder) as life:
                assert b"new" in await life.bodies(), place

    asyncio.run(scene())


def test_a_rescue_that_was_cut_short_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same process when the disk takes something again, and by the next one."""
    into = Recovery.into

    def cut_short(rescue: Recovery, database: Database) -> dict[bytes, int]:
        with database.transaction():
            into(rescue, database)
            raise sqlite3.OperationalError("database or disk is full")

    async def scene() -> None:
        texts = [f"{number:04}" for number in range(100)]
        async with Life(tmp_path) as life:
            await life.spool.append([(Owner(), [row(text) for text in texts])], {})
        with closing(sqlite3.connect(tmp_path / "spool.db")) as connection, connection:
            connection.execute("DELETE FROM meta")
        monkeypatch.setattr(Recovery, "into", cut_short)
        async with Life(tmp_path) as life:
            assert life.spool.trouble is not None
        async with Life(tmp_path) as life:
            assert life.spool.trouble is not None
            monkeypatch.undo()
            await until(lambda: life.spool.trouble is None)
            assert sorted(await life.bodies()) == [text.encode() for text in texts]
        assert (tmp_path / "spool.corrupt-1").exists()

    asyncio.run(scene())


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    """Not a byte of it changes, and a file of this version's own is used beside it, again and again."""

    async def scene() -> None:
        async with Life(tmp_path) as life:
            await life.spool.append([(Owner(), [row("old")])], {})
        with closing(sqlite3.connect(tmp_path / "spool.db")) as connection:
            connection.execute("PRAGMA user_version=99")
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        before = (tmp_path / "spool.db").read_bytes()
        for _ in range(2):
            async with Life(tmp_path) as life:
                assert life.spool.trouble is None
                await life.spool.append([(Owner(), [row("new")])], {})
        async with Life(tmp_path) as life:
            assert await life.bodies() == [b"new", b"new"]
        assert (tmp_path / "spool.db").read_bytes() == before

    asyncio.run(scene())


def test_the_file_shrinks_when_what_waited_is_gone(tmp_path: Path) -> None:
    """After an outage the disk gets its space back, but for a few mebibytes."""

    async def scene() -> None:
        async with Life(tmp_path) as life:
            owner = Owner()
            for _ in range(40):
                await life.spool.append([(owner, [row("x" * 500_000)])], {})
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) > 20_000_000
            life.spool.delete(owner, owner.rows)
            await until(lambda: sum(path.stat().st_size for path in tmp_path.iterdir()) < 12_000_000)

    asyncio.run(scene())


def test_a_copy_of_the_files_at_any_time_holds_what_was_safe(tmp_path: Path) -> None:
    """The files as a killed process leaves them: every row that was reported safe is in them, no deleted one is."""

    async def scene() -> None:
        async with Life(tmp_path / "spool") as life:
            owner = Owner()
            for number in range(50):
                await life.spool.append([(owner, [row(str(number))])], {})
                if number % 3 == 0:
                    life.spool.delete(owner, [owner.rows[number]])
            await until(lambda: len(owner.gone) == 17)
            shutil.copytree(tmp_path / "spool", tmp_path / "copy")
        async with Life(tmp_path / "copy") as life:
            assert await life.bodies() == [str(number).encode() for number in range(50) if number % 3]

    asyncio.run(scene())


def test_what_is_safe_is_on_the_disk_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is synchronized within some fifty milliseconds of a commit, once for many, and not again without one."""
    synced: list[float] = []
    monkeypatch.setattr(os, "fdatasync", lambda _: synced.append(time.monotonic()))

    async def scene() -> None:
        async with Life(tmp_path) as life:
            await until(lambda: synced)  # of the opening
            synced.clear()
            begun = time.monotonic()
            for _ in range(5):
                await life.spool.append([(Owner(), [row()])], {})
            written = time.monotonic()
            await until(lambda: synced and synced[-1] > written)
            assert len(synced) <= 2 + (time.monotonic() - begun) / SYNC_SECONDS
            synced.clear()
            await asyncio.sleep(4 * SYNC_SECONDS)
            assert synced == []

    asyncio.run(scene())


def _left_by_a_kill(folder: Path, rows: int, delivered: int = 0) -> Path:
    """A spool whose rows are in its log alone, as a killed process leaves it; 2 spans a row."""
    life = folder / "life"
    life.mkdir(parents=True)
    database = Database(life / "spool.db")
    database.take_stock()
    for number in range(rows):
        with database.transaction():
            ids = database.append(b"d" * 16, "{}", [row(f"{number} " + "x" * 3000)])
        if number == rows // 2:
            shutil.copy(life / "spool.db-tally", folder / "older-tally")
    for number in range(delivered):
        with database.transaction():
            database.delete([ids[0] - rows + 1 + number])
    left = shutil.copytree(life, folder / "left")
    database.abandon()
    return left


def _opened(folder: Path) -> tuple[int, int, int]:
    """Spans that a spool gives back, those that it says are lost, and the rows that it has ever had."""

    async def scenario() -> tuple[int, int, int]:
        async with Life(folder) as life:
            (opened,) = life.opened
            (one,) = opened.destinations
            return one.spans, sum(opened.lost_spans.values()), one.last_id - one.first_id

    return asyncio.run(scenario())


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("delivered", [0, 20])
def test_what_a_damaged_log_costs_is_counted(tmp_path: Path, keep: float, delivered: int) -> None:
    """Wherever it is cut or a byte of it flips: what is there and what is lost are what there was, and once only."""
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
        found, lost, rows = _opened(left)

        # A deletion that is lost gives back what was delivered: that comes twice, and is not lost.
        assert lost == 2 * (60 - max(rows if found else 0, delivered))
        assert found + lost == 120 if not delivered else found + lost >= 80


def test_of_a_file_that_cannot_be_read_at_all_the_loss_is_counted(tmp_path: Path) -> None:
    """Its first page gone, with the table of destinations; or the file itself."""
    for number, damage in enumerate((b"\xff" * 4096, b"")):
        left = _left_by_a_kill(tmp_path / f"{number}", 10)
        (left / "spool.db-wal").unlink()
        (left / "spool.db").write_bytes(damage)

        assert _opened(left)[:2] == (0, 20)


def test_a_loss_is_counted_once(tmp_path: Path) -> None:
    """The next process begins with what is there."""
    left = _left_by_a_kill(tmp_path, 10)
    os.truncate(left / "spool.db-wal", (left / "spool.db-wal").stat().st_size // 2)
    found, lost, _ = _opened(left)

    assert found + lost == 20
    assert _opened(left)[:2] == (found, 0)


def test_a_whole_file_lacks_nothing(tmp_path: Path) -> None:
    """After kills at any moment, with a tally that is older than the file, one that is garbage, or none."""
    left = _left_by_a_kill(tmp_path, 10, 4)
    tally, older = (left / "spool.db-tally").read_bytes(), (tmp_path / "older-tally").read_bytes()
    for number, noted in enumerate((tally, older, b"garbage" * 999, b"", None)):
        copy = shutil.copytree(left, tmp_path / f"copy {number}")
        (copy / "spool.db-tally").unlink()
        if noted is not None:
            (copy / "spool.db-tally").write_bytes(noted)

        assert _opened(copy) == (12, 0, 10)
