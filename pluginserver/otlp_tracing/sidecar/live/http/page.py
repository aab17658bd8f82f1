"""The live page: its files and its data. Read only."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.live.http.auth import Handler
from otlp_tracing.sidecar.live.http.events import EventStream
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.live.http.rule_text import parse_sampling
from otlp_tracing.sidecar.live.http.trace_json import trace
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.live.traces import RecentTrace
from otlp_tracing.sidecar.live.what_if import evaluate_rules
from otlp_tracing.sidecar.telemetry.exemplars import SentExemplar

STATIC = Path(__file__).parent / "static"
MAX_BODY = 64 << 10  # of a what-if request; real rules are far smaller
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PERCENTILES = (0.5, 0.95, 0.99)
_MAX_EXEMPLARS = 4  # of a route: a line of its row


class Page:
    """Serves the page.

    Args:
        recorder: source of the data.
        options: of the page.
        exemplars: of the OTLP metrics, as collectors have accepted them.
    """

    def __init__(
        self, recorder: Recorder, options: PageOptions, exemplars: Callable[[], Iterable[SentExemplar]] = tuple
    ) -> None:
        self._recorder = recorder
        self._sent_exemplars = exemplars
        self._stream = EventStream(recorder, options)
        self._files = {path.name: _File.read(path) for path in sorted(STATIC.iterdir())}
        self._evaluating = asyncio.Lock()

    @property
    def routes(self) -> Mapping[str, Handler]:
        """Handlers of GET by path."""
        return {
            "/": self._index,
            "/page/{name}": self._file,
            "/events": self._stream.events,
            "/traces/{trace_id:[0-9a-f]{32}}": self._trace,
            "/routes": self._routes,
        }

    async def close(self, _app: web.Application) -> None:
        """End all event streams; for Application.on_shutdown."""
        self._stream.close()

    async def _index(self, request: web.Request) -> web.Response:
        return self._files["index.html"].response(request)

    async def _file(self, request: web.Request) -> web.Response:
        file = self._files.get(request.match_info["name"])
        return file.response(request) if file else web.Response(status=404, text="There is no such file.\n")

    async def _trace(self, request: web.Request) -> web.Response:
        found = self._recorder.traces.find(bytes.fromhex(request.match_info["trace_id"]))
        if not found:
            return _json({"error": "This trace is no longer among the recent ones; your backend may have it."}, 404)
        return _json(trace(found))

    async def _routes(self, _request: web.Request) -> web.Response:
        routes = self._recorder.routes
        traces = self._recorder.traces.after(0, len(self._recorder.traces))
        exemplars, of_metrics = _exemplars(traces), _metric_exemplars(traces, self._sent_exemplars())
        rows = [
            {
                **asdict(one),
                "exemplars": exemplars.get((one.service, one.route), []),
                "metric_exemplars": of_metrics.get((one.service, one.route), []),
            }
            for one in routes.figures(_PERCENTILES)
        ]
        return _json({"window_seconds": routes.window_seconds, "routes": rows})

    async def evaluate_rules(self, request: web.Request) -> web.Response:
        """Evaluate sampling rules on recent requests; changes nothing, a POST only for the size of its body."""
        if request.content_type != "application/json":
            return _json({"faults": ["must be sent as application/json"]}, 415)
        if self._evaluating.locked():
            return _json({"faults": ["another set of rules is being evaluated; try again in a moment"]}, 429)
        async with self._evaluating:
            try:
                question = msgspec.json.decode(await request.read(), type=_Question)
                sampling = parse_sampling(question.rules)
                requests = [one for one in self._recorder.requests.snapshot() if question.covers(one.service)]
                outcome = await asyncio.to_thread(evaluate_rules, sampling, requests)
            except msgspec.DecodeError as error:
                return _json({"faults": [f"cannot be read: {error}"]}, 400)
            except ConfigError as error:
                return _json({"faults": [str(fault) for fault in error.faults]}, 422)
        return _json({**asdict(outcome), "bytes_per_span": self._recorder.traces.bytes_per_span})


class _Question(msgspec.Struct):
    """Rules to evaluate, on the requests of one service; None for all services."""

    rules: str
    service: str | None = None

    def covers(self, service: str) -> bool:
        return self.service is None or service == self.service


class _File(msgspec.Struct, frozen=True):
    """A file of the page, held in memory: all of them together have a hundred kilobytes."""

    body: bytes
    content_type: str
    tag: str

    @classmethod
    def read(cls, path: Path) -> _File:
        body = path.read_bytes()
        return cls(body, _TYPES[path.suffix], hashlib.blake2b(body, digest_size=8).hexdigest())

    def response(self, request: web.Request) -> web.Response:
        # Revalidated each time, so that a page never mixes two versions; 304 if unchanged.
        headers = {"Cache-Control": "no-cache", "ETag": f'"{self.tag}"'}
        if any(tag.value == self.tag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, content_type=self.content_type, charset="utf-8", headers=headers)


def _metric_exemplars(
    traces: Iterable[RecentTrace], sent: Iterable[SentExemplar]
) -> Mapping[tuple[str, str], list[dict[str, Any]]]:
    """Return for each route the newest exemplars of its metrics, one a trace, among those that the page can show."""
    by_trace = {one.trace_id: one for one in sent}
    found: dict[tuple[str, str], dict[bytes, dict[str, Any]]] = {}
    for one in traces:
        if exemplar := by_trace.get(one.trace_id):
            shown = {"metric": exemplar.metric, "trace_id": one.trace_id.hex(), "seconds": exemplar.value}
            found.setdefault((one.service, one.route), {})[one.trace_id] = shown
    return {route: list(by_id.values())[: -_MAX_EXEMPLARS - 1 : -1] for route, by_id in found.items()}


def _exemplars(traces: Iterable[RecentTrace]) -> Mapping[tuple[str, str], list[dict[str, Any]]]:
    """Return for each route its newest trace, its slowest, and its newest error, from the ring of recent traces."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in traces:
        by_kind = found.setdefault((one.service, one.route), {})
        by_kind["newest"] = one
        by_kind["slowest"] = max(by_kind.get("slowest", one), one, key=lambda trace: trace.duration_ms)
        if one.is_error:
            by_kind["error"] = one
    return {
        route: [
            {"what": kind, "trace_id": one.trace_id.hex(), "status": one.status, "duration_ms": one.duration_ms}
            for kind, one in by_kind.items()
        ]
        for route, by_kind in found.items()
    }


def _json(data: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(data), content_type="application/json")
