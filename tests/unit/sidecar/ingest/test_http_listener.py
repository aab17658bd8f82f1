"""Promises of sidecar/ingest/http_listener.py: over real connections, to a scripted sink and to the pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from delivery_doubles import ScriptedTransport
from doubles import ManualClock
from otlp_tracing.config.entry_identity import settings_key
from otlp_tracing.context import hand_over_field
from otlp_tracing.metrics import RECORDS_REFUSED, RECORDS_REPEATED
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.ingest import http_listener
from otlp_tracing.sidecar.ingest.http_listener import BatchListener, IngestServer
from otlp_tracing.sidecar.ingest.options import PATH, TOKEN_HEADER, IngestOptions
from otlp_tracing.sidecar.ingest.record_sink import QueueSink
from otlp_tracing.sidecar.ingest.repeated_requests import RepeatedRequests
from otlp_tracing.sidecar.pipeline import Pipeline
from otlp_tracing.sidecar.tail.controller import SamplingController
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import CONTEXT

OPTIONS = IngestOptions("127.0.0.1", 0, "0123456789abcdef")
HEADERS = {TOKEN_HEADER: OPTIONS.token}
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{TOKEN_HEADER}: {OPTIONS.token}\r\nContent-Length: %d\r\n\r\n".encode()
CONFIG = {"endpoint": "http://collector:4317", "sampling": {"rate": 1}}
KEY = settings_key(CONFIG)


class RecordingSink:
    """A sink that keeps the records, and knows every entry but those of records with `unknown`."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.rejected: Counter[str] = Counter()
        self.flushed: list[tuple[bytes, int]] = []
        self.safe: asyncio.Future[None] | None = None
        self.full = False

    def take_queued(self, log: bytes, seed: bytes, *, is_last: bool) -> bytes | None:
        assert len(seed) == 12
        if b"unknown" in log and not is_last:
            return b"k" * 16
        self.taken.append(log)
        return None

    def flush(self, worker_id: bytes, number: int) -> asyncio.Future[None] | None:
        self.flushed.append((worker_id, number))
        return self.safe

    async def room(self) -> None:
        if self.full:
            await asyncio.Event().wait()

    def reject(self, reason: str) -> None:
        self.rejected[reason] += 1


@contextlib.asynccontextmanager
async def listening(
    sink: QueueSink, spooled: Mapping[bytes, int] | None = None, clock: ManualClock | None = None
) -> AsyncIterator[tuple[str, int]]:
    server = IngestServer(BatchListener(sink, spooled or {}, OPTIONS, clock or ManualClock()))
    try:
        yield await server.start(OPTIONS.host, OPTIONS.port)
    finally:
        await server.close(0.1)


async def post(address: tuple[str, int], body: Any, headers: Mapping[str, str] = HEADERS, path: str = PATH) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{address[0]}:{address[1]}{path}", data=body, headers=headers) as answer,
    ):
        return answer.status


async def test_a_batch_is_answered_once_it_is_safe() -> None:
    """Kong drops what is acknowledged: there is no answer before the spool has it."""
    sink = RecordingSink()
    sink.safe = asyncio.get_running_loop().create_future()
    async with listening(sink) as address:
        posting = asyncio.create_task(post(address, b'[{"a": 1},{"b": 2}]'))
        while not sink.flushed:
            await asyncio.sleep(0.01)
        is_early = posting.done()
        sink.safe.set_result(None)

        assert await posting == 200

    assert not is_early
    assert sink.taken == [b'{"a": 1}', b'{"b": 2}']


@pytest.mark.parametrize("token", [None, "", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"])
async def test_without_the_token_nothing_is_taken(token: str | None) -> None:
    """401, counted, whatever the body."""
    sink = RecordingSink()
    async with listening(sink) as address:
        assert await post(address, b"[{}]", {TOKEN_HEADER: token} if token is not None else {}) == 401

    assert sink.taken == []
    assert sink.rejected == {"bad_token": 1}


async def test_only_batches_at_their_path_are_answered() -> None:
    """404 for another path, 400 for a body that is no batch."""
    sink = RecordingSink()
    async with listening(sink) as address:
        assert await post(address, b"[{}]", path="/metrics") == 404
        assert await post(address, b"hello") == 400

    assert (sink.taken, sink.rejected) == ([], {"bad_batch": 1})


async def test_a_broken_record_costs_no_other() -> None:
    """Of a thousand the rest is taken, and the batch is acknowledged: a repetition would not mend it."""
    sink = RecordingSink()
    records = [b'{"request": {}}'] * 999
    async with listening(sink) as address:
        assert await post(address, b"[" + b",".join([*records[:500], b'{"request": ', *records[500:]]) + b"]") == 200

    assert (len(sink.taken), sink.rejected) == (999, {"bad_record": 1})


async def test_a_body_of_100_mb_is_refused_before_it_is_read() -> None:
    """413 by its announced length; without one, as soon as the bound is passed."""
    sink = RecordingSink()
    async with listening(sink) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(HEAD % 100_000_000)
        announced = await reader.readline()
        writer.close()

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield bytes(1 << 20)

        with contextlib.suppress(aiohttp.ClientError):
            assert await post((host, port), endless()) == 413

    assert announced.split()[1] == b"413"
    assert (sink.taken, sink.rejected) == ([], {"bad_batch": 2})


async def test_a_record_of_more_than_a_frame_is_refused() -> None:
    """The limit is that of the other way to the sidecar."""
    sink = RecordingSink()
    async with listening(sink) as address:
        assert await post(address, io.BytesIO(json.dumps([{"a": "x" * (1 << 20)}, {"b": 1}]).encode())) == 200

    assert (sink.taken, sink.rejected) == ([b'{"b": 1}'], {"bad_record": 1})


async def test_a_slow_sender_does_not_keep_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """408 for a body that does not come, and the connection of a head that does not come is closed."""
    monkeypatch.setattr(http_listener, "_BODY_SECONDS", 0.05)
    monkeypatch.setattr(http_listener, "_HEAD_SECONDS", 0.05)
    sink = RecordingSink()
    answers = []
    async with listening(sink) as (host, port):
        for sent in (b"", HEAD[:30], HEAD % 9 + b"["):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(sent)
            with contextlib.suppress(ConnectionError):
                answers.append((await asyncio.wait_for(reader.read(), 5))[9:12])
            writer.close()

    assert answers[-1] == b"408"
    assert set(answers[:-1]) <= {b"", b"400"}
    assert sink.rejected["bad_batch"] == 1


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is closed, and the others are served."""
    monkeypatch.setattr(http_listener, "_MAX_CONNECTIONS", 2)
    sink = RecordingSink()
    async with listening(sink) as address, contextlib.AsyncExitStack() as stack:
        (_, first), (second, writer) = [await asyncio.open_connection(*address) for _ in range(2)]
        stack.callback(writer.close)
        with pytest.raises(aiohttp.ClientError):
            await post(address, b"[{}]")
        first.close()
        await first.wait_closed()

        async def served() -> int:
            while True:  # until the listener has seen the end of the first; pytest's timeout ends it
                with contextlib.suppress(aiohttp.ClientError):
                    return await post(address, b"[{}]")

        assert await served() == 200
        assert not second.at_eof()


async def test_a_batch_waits_for_room_in_the_spool(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 after a while, and Kong's queue keeps it; nothing of it was taken."""
    monkeypatch.setattr(http_listener, "_WAIT_SECONDS", 0.05)
    sink = RecordingSink()
    sink.full = True
    async with listening(sink) as address:
        assert await post(address, b"[{}]") == 503

    assert sink.taken == []


async def test_a_record_of_an_unknown_entry_comes_again() -> None:
    """503 for half a minute, in which its configuration may come; then it is taken as one without."""
    sink, clock = RecordingSink(), ManualClock()
    body, statuses = b'[{"known": 1},{"unknown": 1}]', []
    async with listening(sink, clock=clock) as address:
        for seconds in (0, 29, 2):
            clock.now += seconds
            statuses.append(await post(address, body))

    assert statuses == [503, 503, 200]
    assert sink.taken[-1] == b'{"unknown": 1}'
    numbers = [number for _, number in sink.flushed]
    assert numbers[:2] == [0, 0]
    assert numbers[2] > 0


async def test_a_batch_that_an_earlier_process_spooled_is_acknowledged() -> None:
    """It was killed before its answer: the batch comes again, and is not processed again."""
    earlier, later = RecordingSink(), RecordingSink()
    async with listening(earlier) as address:
        await post(address, b"[{}]")
    async with listening(later, dict(earlier.flushed)) as address:
        statuses = [await post(address, body) for body in (b"[{}]", b"[{},{}]")]

    assert statuses == [200, 200]
    assert later.taken == [b"{}", b"{}"]


class Stage:
    """The pipeline behind the listener, with one entry and a scripted collector."""

    def __init__(self) -> None:
        self.metrics, self.transport = Metrics(), ScriptedTransport()
        self.exporters = ExporterRegistry(self.metrics, {}, None, lambda _destination: self.transport)
        rates = SamplingController(self.metrics, ManualClock())
        self.pipeline = Pipeline(self.metrics, {}, self.exporters, rates, repetitions=RepeatedRequests())

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0


def log(**fields: Any) -> dict[str, Any]:
    return {
        "request": {"method": "GET", "uri": "/", "headers": {}},
        "response": {"status": 200},
        "started_at": 1,
        **fields,
    }


def handed_over(number: int, key: bytes = KEY) -> dict[str, Any]:
    context = {**CONTEXT.to_log_field(), "span_id": f"{number + 1:016x}"}
    return log(otlp_tracing={**context, **hand_over_field(key, None)})


async def test_repeated_requests_are_counted_once() -> None:
    """Of batches that overlap, each request gives its spans once; with and without a context of `access`."""
    stage = Stage()
    stage.pipeline.configure(KEY, json.dumps(CONFIG).encode())
    records = [handed_over(number) for number in range(5)]
    async with listening(stage.pipeline) as address:
        for body in (records, records[2:], [log()], [log()]):
            assert await post(address, json.dumps(body)) == 200
    await stage.exporters.close(1)

    assert stage.count("otlp_tracing_requests_total", decision="rate") == 6
    assert stage.count(RECORDS_REPEATED.name) == 4


async def test_equal_records_of_one_batch_are_different_requests() -> None:
    """Kong 3.4 gives a request no id, so two rejected ones may be alike byte by byte."""
    stage = Stage()
    stage.pipeline.configure(KEY, json.dumps(CONFIG).encode())
    async with listening(stage.pipeline) as address:
        await post(address, json.dumps([log(), log()]))
    await stage.exporters.close(1)

    assert stage.count("otlp_tracing_requests_total", decision="rate") == 2


async def test_a_record_finds_its_entry() -> None:
    """By the digest in it; without one by its scope; and by its scope after the wait for an unknown digest."""
    stage, clock = Stage(), ManualClock()
    known, unknown = handed_over(1), handed_over(2, b"u" * 16)
    async with listening(stage.pipeline, clock=clock) as address:
        early = await post(address, json.dumps([known, unknown, log()]))
        stage.pipeline.configure(KEY, json.dumps(CONFIG).encode())
        waiting = await post(address, json.dumps([known, unknown, log()]))
        clock.now += 31
        late = await post(address, json.dumps([known, unknown, log()]))
    await stage.exporters.close(1)

    assert (early, waiting, late) == (503, 503, 200)
    assert stage.count("otlp_tracing_requests_total", decision="rate") == 3


async def test_a_request_without_an_entry_is_counted() -> None:
    """As of a route beside the traced ones, under a global http-log; also a record that is no record."""
    stage, clock = Stage(), ManualClock()
    clock.now += 60
    async with listening(stage.pipeline, clock=clock) as address:
        clock.now += 11
        assert await post(address, json.dumps([log(), {"foo": 1}, 42, "x", None])) == 200
    await stage.exporters.close(1)

    assert stage.count(RECORDS_REFUSED.name, reason="no_entry") == 1
    assert stage.count(RECORDS_REFUSED.name, reason="bad_record") == 4
