"""Promises of sidecar/ingest/receiver.py about acknowledgements, over a real socket and a spool on disk."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from otlp_tracing.config.entry_identity import settings_key
from otlp_tracing.handoff.frames import VERSION, Ack, Config, Decoder, Hello, Record, encode
from otlp_tracing.metrics import RECORDS_REFUSED
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.ingest import receiver
from otlp_tracing.sidecar.ingest.receiver import Receiver
from otlp_tracing.sidecar.pipeline import Pipeline
from otlp_tracing.sidecar.spool import spool
from otlp_tracing.sidecar.tail.controller import SamplingController
from otlp_tracing.sidecar.telemetry.registry import Metrics

CONFIG: dict[str, Any] = {"endpoint": "http://127.0.0.1:1"}
KEY = settings_key(CONFIG)
SENDER = b"12345678"
LOG = json.dumps({
    "request": {"method": "GET", "uri": "/a", "url": "http://gw:8000/a", "headers": {"host": "gw:8000"}},
    "response": {"status": 200},
    "started_at": 1_000,
    "latencies": {"request": 10},
}).encode()  # fmt: skip


class Sidecar:
    """Receiver, pipeline and spool of one process, without anything else."""

    def __init__(self, folder: Path, gather_seconds: float) -> None:
        self._gather_seconds = gather_seconds
        self.metrics = Metrics()
        self.exporters = ExporterRegistry(self.metrics, {}, folder / "spool")
        self.path = folder / "s.sock"

    async def start(self) -> None:
        await self.exporters.spool.start(5)
        rates = SamplingController(self.metrics, time.monotonic)
        pipeline = Pipeline(self.metrics, {}, self.exporters, rates)
        self._receiver = Receiver(pipeline, rates, lambda _: None, self._gather_seconds)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._receiver.connection, sock=receiver.bind(self.path))

    async def stop(self) -> None:
        self._server.close()
        self._receiver.close()
        await self.exporters.close(0)

    @property
    def received(self) -> int:
        return sum(one["received"] for one in self.exporters.status())


@asynccontextmanager
async def running(folder: Path, gather_seconds: float = 0.0) -> AsyncIterator[Sidecar]:
    sidecar = Sidecar(folder, gather_seconds)
    await sidecar.start()
    try:
        yield sidecar
    finally:
        await sidecar.stop()


class Peer:
    """A process of the gateway, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._decoder = Decoder()
        writer.write(encode(Hello(VERSION, SENDER)) + encode(Config(KEY, json.dumps(CONFIG).encode())))

    @classmethod
    async def connect(cls, sidecar: Sidecar) -> Peer:
        return cls(*await asyncio.open_unix_connection(str(sidecar.path)))

    def send(self, *numbers: int) -> None:
        self.writer.write(b"".join(encode(Record(number, KEY, LOG)) for number in numbers))

    async def acknowledged(self, seconds: float = 60.0) -> int | None:
        """Return the latest acknowledgement, None if the time is over or the connection ends."""
        while True:
            try:
                data = await asyncio.wait_for(self._reader.read(4096), seconds)
            except asyncio.TimeoutError:
                return None
            if not data:
                return None
            # All frames: a compiled generator that is left early does not remove what it has read.
            if numbers := [frame.number for frame in self._decoder.feed(data) if isinstance(frame, Ack)]:
                return numbers[-1]


def test_a_record_is_acknowledged_once_it_is_stored(tmp_path: Path) -> None:
    """Not while the disk stalls; the loop continues meanwhile."""

    async def scene() -> None:
        async with running(tmp_path) as sidecar:
            peer = await Peer.connect(sidecar)
            stalled = threading.Event()
            assert sidecar.exporters.spool._writer is not None
            stall = sidecar.exporters.spool._writer.write(lambda _: stalled.wait(10))
            peer.send(1, 2)
            while sidecar.received < 2:
                await asyncio.sleep(0.01)
            assert await peer.acknowledged(0.2) is None
            stalled.set()
            assert await stall
            assert await peer.acknowledged() == 2
            peer.writer.close()

    asyncio.run(scene())


def test_what_an_earlier_process_stored_is_not_taken_twice(tmp_path: Path) -> None:
    """Killed before it could acknowledge, it has left the sender's number with the spans."""

    async def scene() -> None:
        async with running(tmp_path) as sidecar:
            peer = await Peer.connect(sidecar)
            peer.send(1, 2)
            assert await peer.acknowledged() == 2
            peer.writer.close()
        async with running(tmp_path) as sidecar:
            peer = await Peer.connect(sidecar)
            peer.send(1, 2, 3)
            assert await peer.acknowledged() == 3
            assert sidecar.received == 1
            assert sum(one["restored"] for one in sidecar.exporters.status()) == 2
            peer.writer.close()

    asyncio.run(scene())


def test_a_broken_frame_costs_the_connection_and_no_record(tmp_path: Path) -> None:
    """The records before it are stored; the worker connects again and repeats the rest."""

    async def scene() -> None:
        async with running(tmp_path) as sidecar:
            peer = await Peer.connect(sidecar)
            peer.writer.write(encode(Record(1, KEY, LOG)) + b"\0\0\0\x01\xc1")
            while await peer.acknowledged() is not None:
                pass
            assert sidecar.received == 1
            assert sidecar.metrics.value(RECORDS_REFUSED, reason="bad_frame") == 1
            again = await Peer.connect(sidecar)
            again.send(1, 2)
            assert await again.acknowledged() == 2
            assert sidecar.received == 2
            for one in (peer, again):
                one.writer.close()

    asyncio.run(scene())


def test_records_are_gathered_between_two_reads(tmp_path: Path) -> None:
    """Those that come one by one meanwhile have one acknowledgement."""

    async def scene() -> None:
        async with running(tmp_path, 2.0) as sidecar:
            peer = await Peer.connect(sidecar)
            peer.send(1)
            assert await peer.acknowledged() == 1
            for number in (2, 3, 4):
                peer.send(number)
                for _ in range(20):  # turns of the loop, in which a sidecar that waits for bytes would read them
                    await asyncio.sleep(0)
            assert sidecar.received == 1
            assert await peer.acknowledged() == 4
            peer.writer.close()

    asyncio.run(scene())


def test_a_worker_with_much_to_send_does_not_wait(tmp_path: Path) -> None:
    """After a large read, the next one follows at once."""

    async def scene() -> None:
        async with running(tmp_path, 60) as sidecar:
            peer = await Peer.connect(sidecar)
            peer.send(*range(1, 1001))
            while await peer.acknowledged() != 1000:
                pass
            peer.writer.close()

    asyncio.run(scene())


def test_nothing_is_read_while_the_spool_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker keeps its records meanwhile; the next read follows once there is room."""
    monkeypatch.setattr(spool, "MAX_PENDING_BYTES", 0)

    async def scene() -> None:
        async with running(tmp_path) as sidecar:
            peer = await Peer.connect(sidecar)
            stalled = threading.Event()
            assert sidecar.exporters.spool._writer is not None
            stall = sidecar.exporters.spool._writer.write(lambda _: stalled.wait(10))
            peer.send(1)
            while sidecar.received < 1:
                await asyncio.sleep(0.01)
            peer.send(2)
            assert await peer.acknowledged(0.2) is None
            assert sidecar.received == 1
            stalled.set()
            assert await stall
            while await peer.acknowledged() != 2:
                pass
            peer.writer.close()

    asyncio.run(scene())


def test_half_a_frame_is_waited_for_some_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the connection is closed, and the records before it stay acknowledged; a whole frame ends the wait."""
    monkeypatch.setattr(receiver, "_FRAME_SECONDS", 0.3)

    async def scene() -> None:
        async with running(tmp_path) as sidecar:
            peer = await Peer.connect(sidecar)
            frame = encode(Record(1, KEY, LOG))
            for piece in (frame[:50], frame[50:]):
                peer.writer.write(piece)
                await peer.writer.drain()
                await asyncio.sleep(0)
            assert await peer.acknowledged() == 1
            assert await peer.acknowledged(0.5) is None
            peer.send(2)
            assert await peer.acknowledged() == 2
            peer.writer.write(frame[:50])
            assert await peer.acknowledged() is None
            assert sidecar.metrics.value(RECORDS_REFUSED, reason="bad_frame") == 1
            peer.writer.close()

    asyncio.run(scene())
