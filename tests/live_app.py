"""Runs the HTTP application of the live page."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from doubles import ManualClock
from otlp_tracing.sidecar.live.http.app import Health, create_app
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.live.what_if import WhatIfRedaction
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.telemetry.exemplars import SentExemplar
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import CONTEXT, ENTRY_KEY, outcome_of, spans_of

TOKEN = "0123456789abcdef"
REPORTS: Mapping[str, Any] = {"/redaction": dict, "/sampling": dict}
FOR_MACHINES = ["/healthz", "/readyz", "/metrics"]
DATA = ["/events", f"/traces/{'01' * 16}", "/routes", "/redaction", "/sampling", "/delivery"]
TRACE_ID = CONTEXT.trace_id.hex()


def recorded(requests: int = 1) -> Recorder:
    recorder = Recorder(ManualClock())
    recorder.configure(ENTRY_KEY, WhatIfRedaction((), str))
    for _ in range(requests):
        recorder.observe(outcome_of(spans=[encode_span(span) for span in spans_of()]))
    return recorder


@contextlib.asynccontextmanager
async def client(
    recorder: Recorder | None = None, exemplars: Callable[[], Iterable[SentExemplar]] = tuple, **options: Any
) -> AsyncIterator[Any]:
    app = create_app(Metrics(), Health(), REPORTS, recorder or recorded(), PageOptions(**options), exemplars=exemplars)
    async with TestClient(TestServer(app)) as one:
        yield one


def ask(
    path: str, headers: Mapping[str, str] | None = None, method: str = "GET", data: object = None, **options: Any
) -> tuple[int, Mapping[str, str], str]:
    async def one() -> tuple[int, Mapping[str, str], str]:
        async with client(**options) as there, there.request(method, path, headers=headers, data=data) as answer:
            return answer.status, answer.headers, "" if path.startswith("/events") else await answer.text()

    return asyncio.run(one())


def try_rules(rules: str, **more: Any) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", **more.pop("headers", {})}
    status, _, text = ask("/trial", headers, "POST", json.dumps({"rules": rules, **more}))
    return status, json.loads(text)


def events_of(text: str) -> list[tuple[str, Any]]:
    found = []
    for piece in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in piece.split("\n"))
        found.append((fields["event"], {**json.loads(fields["data"]), "id": fields.get("id", "")}))
    return found


async def read_events(there: Any, path: str, until: str) -> list[tuple[str, Any]]:
    async with there.get(path) as answer:
        text = ""
        while until not in text or not text.endswith("\n\n"):
            text += (await asyncio.wait_for(answer.content.readany(), 5)).decode()
    return events_of(text)
