"""Helpers for the tests of spool and export: named spans, a scripted transport, and a process on a spool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.spans.model import SpanRecord
from otlp_tracing.sidecar.spool.batch import SpooledBatch
from otlp_tracing.sidecar.spool.spool import Spool
from otlp_tracing.sidecar.spool.writer import OpenedSpool

OK = ExportResult(Action.SUCCESS)


def encoded(name: str, padding: int = 0) -> bytes:
    """Encode a span of a name and a size."""
    return encode_span(
        SpanRecord(
            trace_id=b"t" * 16,
            span_id=b"s" * 8,
            parent_span_id=None,
            name=name,
            kind="server",
            start_unix_ns=1,
            end_unix_ns=2,
            attributes={"padding": "x" * padding} if padding else {},
            flags=1,
            trace_state="",
            is_error=False,
        )
    )


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition for a minute, by the loop's clock."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 60
    while not condition():
        assert loop.time() < end, "not within a minute"
        await asyncio.sleep(0.01)


class ScriptedTransport:
    """Answers a request with `answer(names of its spans)`, once `gate` is set.

    Args:
        answer: may be replaced at any time.
    """

    def __init__(self, answer: Callable[[list[str]], ExportResult] = lambda _: OK) -> None:
        self.answer = answer
        self.gate = asyncio.Event()
        self.gate.set()
        self.requests: list[list[str]] = []
        self.requested_at: list[float] = []
        self.accepted: list[str] = []
        self.largest = 0
        self.most_at_once = 0
        self.closed = 0
        self._now = 0

    async def export(self, request: bytes) -> ExportResult:
        """Take a request."""
        message = ExportTraceServiceRequest.FromString(request)
        names = [span.name for span in message.resource_spans[0].scope_spans[0].spans]
        self.requests.append(names)
        self.requested_at.append(asyncio.get_running_loop().time())
        self.largest = max(self.largest, len(request))
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await self.gate.wait()
        finally:
            self._now -= 1
        answer = self.answer(names)
        if answer.action is Action.SUCCESS:
            self.accepted += names
        return answer

    async def close(self) -> None:
        """Count it."""
        self.closed += 1


class SpoolLife:
    """One process on a spool, without send queues: batches that cannot be stored raise DiskError.

    Args:
        folder: of the spool.
        recovery_seconds: between two looks at the file.
    """

    def __init__(self, folder: Path, recovery_seconds: float = 0.02) -> None:
        self.opened: list[OpenedSpool] = []
        self.spool = Spool(folder, self.opened.append, self._store_nothing, recovery_seconds=recovery_seconds)

    async def _store_nothing(self) -> None:
        pass

    async def __aenter__(self) -> SpoolLife:
        await self.spool.start(5)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.spool.close(5)

    async def append(
        self, *texts: str, to: str = "a", spans: int = 2, last_records: Mapping[bytes, int] | None = None
    ) -> list[int]:
        """Store a batch for each text and return the ids."""
        digest = self.spool.digest(to.encode()) or b""
        batches = [SpooledBatch(text.encode(), spans, 1_000) for text in texts]
        (ids,) = await self.spool.append([(digest, f'{{"name": "{to}"}}', batches)], last_records or {})
        return ids

    async def load(self) -> tuple[Sequence[SpooledBatch], Sequence[SpooledBatch]]:
        """Read everything that was on disk at the start, by destination: sound and broken batches."""
        sound: list[SpooledBatch] = []
        broken: list[SpooledBatch] = []
        for stored in self.opened[0].destinations:
            loaded = await self.spool.load(stored.first_id, stored.last_id, 1 << 30, ())
            sound += loaded.batches
            broken += loaded.broken
        return sound, broken

    async def bodies(self) -> list[bytes]:
        """Return the bodies of load(), all of which must be sound."""
        sound, broken = await self.load()
        assert broken == []
        return [batch.body for batch in sound]
