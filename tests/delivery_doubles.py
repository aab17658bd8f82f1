"""Doubles for the tests of spool and export: spans with a name, and a scripted transport to a collector."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.spans.model import SpanRecord

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


class ScriptedTransport:
    """Answers with the result of `answer` for the names of a request's spans, once `gate` is set.

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
