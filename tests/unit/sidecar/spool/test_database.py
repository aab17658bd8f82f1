"""The spool file against a model of it: sequences of writes, deletions, syncs, kills and power cuts, by chance.

A kill leaves the files as they are. A power cut leaves, of unsynchronized data, any mixture of old and new
blocks, in any order. `SPOOL_SEQUENCES=100000` is the long form.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otlp_tracing.sidecar.spool.batch import SpooledBatch
from otlp_tracing.sidecar.spool.database import Database

_BLOCK = 512  # written by a disk in one piece
_DESTINATIONS = (b"a" * 16, b"b" * 16)

State = Mapping[int, bytes]
"""Rows by id."""


class SpoolFile(RuleBasedStateMachine):
    """A spool file, and every state that its commits went through."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="spool-model-"))
        self._path = self._folder / "0" / "spool.db"
        self._path.parent.mkdir()
        self._lives = 0
        self._database = Database(self._path)
        self._states: list[State] = [{}]
        self._synced = 0  # index of the state that a power cut leaves at the least
        self._durable: dict[str, bytes] = {}
        self._written = 0
        self._record_durable()

    @rule(count=st.integers(1, 4), size=st.integers(0, 9000), destination=st.sampled_from(_DESTINATIONS))
    def write(self, count: int, size: int, destination: bytes) -> None:
        bodies = []
        for _ in range(count):
            self._written += 1
            bodies.append(b"%d " % self._written + b"x" * size)
        with self._database.transaction():
            ids = self._database.append(destination, "{}", [SpooledBatch(body, 2, self._written) for body in bodies])
        assert not set(ids) & set(self._states[-1])
        self._states.append({**self._states[-1], **dict(zip(ids, bodies, strict=True))})

    @precondition(lambda self: self._states[-1])
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        state = self._states[-1]
        gone = data.draw(st.lists(st.sampled_from(sorted(state)), min_size=1, max_size=4, unique=True))
        with self._database.transaction():
            self._database.delete(gone)
        self._states.append({id_: body for id_, body in state.items() if id_ not in gone})

    @precondition(lambda self: self._states[-1])
    @rule(data=st.data(), size=st.integers(0, 9000))
    def rewrite(self, data: st.DataObject, size: int) -> None:
        id_ = data.draw(st.sampled_from(sorted(self._states[-1])))
        self._written += 1
        body = b"%d again " % self._written + b"x" * size
        with self._database.transaction():
            self._database.rewrite(SpooledBatch(body, 2, self._written, id_))
        self._states.append({**self._states[-1], id_: body})

    @rule(want=st.integers(1, 20_000), data=st.data())
    def drop_oldest(self, want: int, data: st.DataObject) -> None:
        for stored in self._database.destinations():
            mine = {id_: body for id_, body in self._states[-1].items() if stored.first_id < id_ <= stored.last_id}
            held = data.draw(st.sets(st.sampled_from(sorted(mine)), max_size=2)) if mine else set()
            with self._database.transaction():
                dropped = self._database.drop(stored.first_id, stored.last_id, held, want=want)
            left = self._rows(stored.first_id, stored.last_id)
            gone = [id_ for id_ in sorted(mine) if id_ not in left]
            assert gone == [id_ for id_ in sorted(mine) if id_ not in held][: len(gone)]
            assert (dropped.batches, dropped.spans) == (len(gone), 2 * len(gone))
            assert dropped.disk_bytes >= want or set(left) <= held
            self._states.append({id_: body for id_, body in self._states[-1].items() if id_ not in gone})

    @rule()
    def roll_back(self) -> None:
        class NoMore(Exception):
            pass

        try:
            with self._database.transaction():
                self._database.append(_DESTINATIONS[0], "{}", [SpooledBatch(b"never", 2, 0)])
                raise NoMore
        except NoMore:
            pass

    @rule()
    def synchronize(self) -> None:
        self._database.sync()
        self._record_durable()

    @rule()
    def shrink(self) -> None:
        # Brings the log into the file, which SQLite synchronizes itself.
        while self._database.release_free_pages():
            pass
        self._database._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._record_durable()

    @rule()
    def kill(self) -> None:
        self._go_on_with(self._files())
        assert self._all_rows() == self._states[-1]
        self._states, self._synced = [self._states[-1]], 0
        self._record_durable()

    @rule(seed=st.integers(0, 1 << 32))
    def cut_the_power(self, seed: int) -> None:
        now, chance = self._files(), random.Random(seed)
        self._go_on_with({name: _mixture(self._durable.get(name, b""), new, chance) for name, new in now.items()})
        found = self._all_rows()
        assert found in self._states[self._synced :]
        self._states, self._synced = [found], 0
        self._record_durable()

    @rule()
    def close(self) -> None:
        self._database.close()
        self._database = Database(self._path)
        self._record_durable()

    @invariant()
    def the_books_are_the_rows(self) -> None:
        state = self._states[-1]
        for stored in self._database.destinations():
            mine = [body for id_, body in state.items() if stored.first_id < id_ <= stored.last_id]
            costs = [SpooledBatch(body, 2, 0).disk_bytes for body in mine]
            assert (stored.batches, stored.spans, stored.disk_bytes) == (len(mine), 2 * len(mine), sum(costs))
        assert self._all_rows() == state

    def teardown(self) -> None:
        assert self._database.is_sound()
        self._database.close()
        shutil.rmtree(self._folder)

    def _rows(self, after: int, until: int) -> dict[int, bytes]:
        loaded = self._database.load(after, until, 1 << 30, ())
        assert loaded.broken == []
        return {row.id: row.body for row in loaded.batches}

    def _all_rows(self) -> State:
        found: dict[int, bytes] = {}
        for stored in self._database.destinations():
            found.update(self._rows(stored.first_id, stored.last_id))
        return found

    def _files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self._path.parent.iterdir()}

    def _record_durable(self) -> None:
        self._durable, self._synced = self._files(), len(self._states) - 1

    def _go_on_with(self, files: Mapping[str, bytes]) -> None:
        self._database.close(is_broken=True)
        self._lives += 1
        self._path = self._folder / str(self._lives) / "spool.db"
        self._path.parent.mkdir()
        for name, content in files.items():
            (self._path.parent / name).write_bytes(content)
        self._database = Database(self._path)


def _mixture(old: bytes, new: bytes, chance: random.Random) -> bytes:
    if old == new:
        return new
    size = chance.randint(min(len(old), len(new)), max(len(old), len(new)))
    blocks = []
    for start in range(0, size, _BLOCK):
        source = chance.choice((old, new))
        blocks.append(source[start : start + _BLOCK].ljust(min(_BLOCK, size - start), b"\0"))
    return b"".join(blocks)


TestSpoolFile = SpoolFile.TestCase
TestSpoolFile.settings = settings(
    max_examples=int(os.environ.get("SPOOL_SEQUENCES", "20")),
    stateful_step_count=30,
)
