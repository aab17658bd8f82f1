"""The spool's disk fills up, fails, or returns bytes that differ from the written ones."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.waiting import wait_for
from faults.delivery.issue import SPANS_A_REQUEST
from faults.delivery.libc_double import LibcDouble
from faults.delivery.scene import Scene, StartScene
from faults.delivery.small_disk import small_disk
from faults.delivery.stalls import START_IMPORTS, import_seconds
from files import size
from load.process_figures import cpu_seconds

pytestmark = pytest.mark.timeout(3600)

Seconds = Callable[[float, float], float]

_START_SECONDS = 2.0
_PAGE_BYTES = 4096
_FELT_SECONDS = 0.25  # the longest time that Kong waits for an answer
_REQUESTS = 2000
_SPOOLED_REQUESTS = 8000  # some ten megabytes, more than SQLite's log holds


def _ride_out(scene: Scene, trouble: Callable[[], None], mend: Callable[[], None]) -> None:
    """Let the disk fail with a collector that is away, and with one that is there; then mend it."""
    scene.send(100)
    scene.wait_until_delivered()
    scene.relay.refuse()
    scene.send(100)
    trouble()
    scene.send(_REQUESTS)

    assert scene.sidecar.is_degraded
    assert f"spool write failed: {scene.sidecar.spool}" in scene.sidecar.log()
    assert scene.sidecar.alive

    scene.relay.listen()
    wait_for(lambda: scene.ledger.has(scene.run, 150), 60, "what was on the disk before is delivered")
    mend()
    wait_for(lambda: not scene.sidecar.books(scene.destination).waiting, 60, "everything is delivered")
    # Only now: the spans in memory may have filled a small disk once more.
    wait_for(lambda: not scene.sidecar.is_degraded, 60, "the disk is used again")
    scene.relay.refuse()
    scene.send(100)
    scene.sidecar.kill()
    scene.sidecar.start()
    scene.relay.listen()

    scene.assert_conserved()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS], ids=errno.errorcode.get)
def test_the_disk_fails(start_scene: StartScene, folder: Path, error: int) -> None:
    """Fault 21: with a disk that fails nothing stops and nothing is lost, memory has it; the disk is used again later.

    The disk is a double: the C library's writes fail. It is mended after the sidecar has deleted its file, of which
    every span was delivered, and could not make a new one.
    """
    double = LibcDouble(folder, folder / "spool")
    database = folder / "spool" / "spool.db"
    with start_scene(sidecar={"environment": double.environment}) as scene:

        def mend() -> None:
            if error != errno.EROFS:  # a read-only disk deletes nothing
                wait_for(lambda: size(database) == 0, 60, "the file is deleted, and a new one could not be written")
            double.fail(0)

        _ride_out(scene, lambda: double.fail(error), mend)


def test_the_disk_stalls(start_scene: StartScene, folder: Path) -> None:
    """Fault 21: while the disk is slow nothing is acknowledged, not even repeated records, and no request waits."""
    double = LibcDouble(folder, folder / "spool")
    with start_scene(sidecar={"environment": double.environment}) as scene:
        scene.send(100)
        scene.wait_until_delivered()
        with double.stalled():
            scene.producer.send(100)
            for _ in range(3):
                scene.producer.pump()
                wait_for(scene.sidecar.ready, 60, "it answers")
                scene.producer.close()  # it connects again, and repeats the records that were not acknowledged
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                scene.producer.pump()
            kept = scene.producer.kept
            scene.sidecar.kill()
        scene.sidecar.start()

        assert kept == 100
        # Spans delivered just before are repeated: the disk could not record their delivery either.
        scene.assert_conserved(max_repeated=1)
        assert scene.producer.slowest_call_s < _FELT_SECONDS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_the_disk_is_full(start_scene: StartScene, folder: Path) -> None:
    """Fault 21: a disk that fills up loses nothing, and is used again when there is room."""
    # SQLite's log takes 4 MiB of it. Of a smaller disk the log alone could take all, and the disk would stay full.
    with small_disk(folder / "disk", "16m") as disk:
        ballast = disk / "ballast"
        with start_scene(sidecar={"spool": disk / "spool"}) as scene:
            _ride_out(scene, lambda: _fill(ballast), ballast.unlink)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_the_disk_is_full_at_the_start(start_scene: StartScene, folder: Path) -> None:
    """Fault 21: a sidecar that starts on a full disk delivers the spans that it finds there, and then has room."""
    with small_disk(folder / "disk", "1m") as disk, start_scene(sidecar={"spool": disk / "spool"}) as scene:
        scene.relay.refuse()
        scene.send(100)
        scene.sidecar.kill()
        _fill(disk / "ballast")
        scene.sidecar.start()
        scene.send(100)
        scene.relay.listen()
        wait_for(lambda: scene.ledger.has(scene.run, 199), 60, "all are delivered")
        (disk / "ballast").unlink()
        wait_for(lambda: not scene.sidecar.is_degraded, 60, "the disk is used again")

        scene.assert_conserved(max_repeated=0)


def test_files_may_not_grow(start_scene: StartScene) -> None:
    """Fault 21: a limit on the size of files, as a double of a quota, loses nothing, and is noticed to be lifted."""
    with start_scene() as scene:

        def limit(size: int) -> None:
            resource.prlimit(scene.sidecar.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        _ride_out(scene, lambda: limit(64 << 10), lambda: limit(resource.RLIM_INFINITY))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_the_folder_is_read_only(start_scene: StartScene, folder: Path) -> None:
    """Fault 21: a folder that may not be written from the start keeps nothing from being delivered."""
    (folder / "spool").mkdir(mode=0o500)
    with start_scene() as scene:
        scene.send(100)
        scene.wait_until_delivered()

        scene.assert_conserved(max_repeated=0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
def test_the_disk_is_read_only_from_the_start(start_scene: StartScene, folder: Path) -> None:
    """Fault 21: a sidecar that starts on a read-only disk serves, and delivers from memory."""
    with small_disk(folder / "disk", "1m") as disk:
        subprocess.run(["/bin/mount", "-o", "remount,ro", str(disk)], check=True)
        with start_scene(sidecar={"spool": disk / "spool"}) as scene:
            scene.send(100)
            scene.wait_until_delivered()

            scene.assert_conserved(max_repeated=0)


def _fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


class Image:
    """A spool with requests in it, as a kill left it: to be broken in many ways.

    Args:
        scene: of which the collector will be away.
        folder: for the copy.
        requests: how many wait in it.
    """

    def __init__(self, scene: Scene, folder: Path, requests: int = _REQUESTS) -> None:
        scene.relay.refuse()
        scene.send(requests)
        scene.sidecar.kill()
        self._scene = scene
        self._original = folder / "original"
        shutil.copytree(scene.sidecar.spool, self._original)
        (self._database,) = (path.relative_to(self._original) for path in self._original.rglob("*.db"))
        self._rows = dict(self._read(folder))  # by id: how many spans, and the check sum of their bytes

    def restore(self) -> list[Path]:
        """Put the spool back as it was; return its files, the largest first."""
        spool = self._scene.sidecar.spool
        shutil.rmtree(spool, ignore_errors=True)
        shutil.copytree(self._original, spool)
        return sorted((path for path in spool.rglob("*") if path.is_file()), key=lambda path: -path.stat().st_size)

    def readable(self, folder: Path) -> int:
        """Return the spans in rows that SQLite still finds by their ids in the spool as it is, byte for byte.

        The damage affects all other rows. Such a row is on a page that was hit, or on a page that is found through it.
        In the log, it is every row from the hit on, since SQLite reads the log up to the first changed frame.
        """
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._scene.sidecar.spool, copy)
        spans = 0
        with contextlib.closing(sqlite3.connect(copy / self._database)) as database:
            for id_, (count, check_sum) in self._rows.items():
                with contextlib.suppress(sqlite3.DatabaseError, TypeError):
                    (body,) = database.execute("SELECT body FROM row WHERE id = ?", (id_,)).fetchone()
                    spans += count if zlib.crc32(body) == check_sum else 0
        return spans

    def _read(self, folder: Path) -> Iterator[tuple[int, tuple[int, int]]]:
        copy = folder / "whole"
        shutil.copytree(self._original, copy)
        with contextlib.closing(sqlite3.connect(copy / self._database)) as database:
            for id_, spans, body in database.execute("SELECT id, spans, body FROM row"):
                yield id_, (spans, zlib.crc32(body))

    def start(self) -> int:
        """Start a sidecar on it and check that it starts soon, serves, and has balanced books. Return the number it
        restored.
        """
        scene = self._scene
        scene.sidecar.start()
        # CPU time, because the time by the clock depends on other users of the machine.
        took = cpu_seconds(scene.sidecar.pid)
        scene.producer.send(1)
        scene.producer.wait_until_acknowledged()
        books = scene.sidecar.books(scene.destination)

        assert took <= _START_SECONDS or took <= START_IMPORTS * import_seconds(), took
        assert books.balance, books
        return books.restored


def _flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes((byte ^ 0x10,)))


def test_the_spool_is_damaged(scene: Scene, folder: Path, rounds: int) -> None:
    """Fault 22: one bit, a cut, or garbage anywhere in its files costs only the damaged rows; the sidecar starts and
    serves.

    Place and kind are random: more rounds try more places. Damaged are the rows that SQLite itself cannot find any
    more. If the first page is hit, which describes the file, these are all rows. The books say how many, and no
    delivered span differs from the issued one.
    """
    image = Image(scene, folder, _SPOOLED_REQUESTS)
    source = random.Random(22)
    costly = []
    for number in range(rounds):
        path = source.choice(image.restore()[:2])
        size = path.stat().st_size
        at = source.randrange(size)
        match number % 3:
            case 0:
                _flip(path, at)
            case 1:
                os.truncate(path, at)
            case _:
                with path.open("r+b") as file:
                    file.seek(at)
                    file.write(source.randbytes(min(4096, size - at)))
        readable = 0 if path.suffix == ".db" and at < _PAGE_BYTES else image.readable(folder)
        image.start()
        scene.relay.listen()
        wait_for(lambda: not scene.sidecar.books(scene.destination).waiting, 60, "what is left is delivered")
        books = scene.sidecar.books(scene.destination)
        scene.relay.refuse()
        scene.sidecar.kill()
        if books.exported < readable + SPANS_A_REQUEST:  # and the request of after the start
            costly.append((path.name, size, at, number % 3, books.exported, readable))

        assert books.balance, books
        assert books.restored == _SPOOLED_REQUESTS * SPANS_A_REQUEST, books

    assert scene.ledger.faults == []
    assert costly == []


def _garbage_beside(spool: Path) -> None:
    (spool / "garbage").write_bytes(random.Random(1).randbytes(100_000))
    for number in range(1000):
        (spool / f"segment-{number}").touch()


def _garbage_inside(spool: Path) -> None:
    for path in spool.iterdir():
        if path.is_file():
            path.write_bytes(random.Random(1).randbytes(100_000))


def _empty_files(spool: Path) -> None:
    for path in spool.iterdir():
        if path.is_file():
            path.write_bytes(b"")


def _newer_format(spool: Path) -> None:
    for path in spool.iterdir():
        if path.is_file() and path.read_bytes()[:6] == b"SQLite" and path.suffix == ".db":
            with contextlib.closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA user_version = 1000")


@pytest.mark.parametrize("damage", [_garbage_beside, _garbage_inside, _empty_files, _newer_format])
def test_the_spool_is_not_what_it_was(scene: Scene, folder: Path, damage: Callable[[Path], None]) -> None:
    """Fault 22: strange files, garbage, nothing, or a newer format in the spool: it starts within 2 s and serves."""
    image = Image(scene, folder)
    image.restore()
    damage(scene.sidecar.spool)
    restored = image.start()
    scene.relay.listen()
    wait_for(lambda: scene.ledger.has(scene.run, _REQUESTS), 60, "a new request is delivered")

    assert scene.ledger.faults == []
    assert (restored == _REQUESTS * SPANS_A_REQUEST) == (damage is _garbage_beside)


def test_a_newer_spool_is_left_for_whoever_can_read_it(scene: Scene, folder: Path) -> None:
    """Fault 22: after a downgrade the newer spool lies where it was, to be delivered by the newer version."""
    image = Image(scene, folder)
    image.restore()
    _newer_format(scene.sidecar.spool)
    before = {path.name: path.read_bytes() for path in scene.sidecar.spool.rglob("*.db")}
    image.start()
    scene.sidecar.kill()
    after = {path.name: path.read_bytes() for path in scene.sidecar.spool.rglob("*") if path.is_file()}

    assert before
    assert all(content in after.values() for content in before.values())
