"""The live page: its files, and the data behind it. Everything is read only."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.live.http.events import Live
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.live.http.rule_text import read_sampling
from otlp_tracing.sidecar.live.http.trace_json import trace
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.live.what_if import try_rules

__all__ = ["MAX_BODY", "STATIC", "Page"]

STATIC = Path(__file__).parent / "static"
MAX_BODY = 64 << 10  # of a trial: rules of that size take a person a day to write
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PERCENTILES = (0.5, 0.95, 0.99)


class Page:
    """Serves the page.

    Args:
        recorder: what there is to see.
        options: of the page.
    """

    def __init__(self, recorder: Recorder, options: PageOptions) -> None:
        self._recorder = recorder
        self._live = Live(recorder, options)
        self._files = {path.name: _File.read(path) for path in sorted(STATIC.iterdir())}
        self._trying = asyncio.Lock()

    def add_to(self, app: web.Application) -> None:
        """Add its paths to an application."""
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/page/{name}", self._file),
                web.get("/events", self._live.events),
                web.get("/traces/{trace_id:[0-9a-f]{32}}", self._trace),
                web.get("/routes", self._routes),
                web.post("/trial", self._trial),
            ]
        )
        app.on_shutdown.append(self._close)

    async def _close(self, _app: web.Application) -> None:
        self._live.close()

    async def _index(self, request: web.Request) -> web.Response:
        return self._files["index.html"].response(request)

    async def _file(self, request: web.Request) -> web.Response:
        file = self._files.get(request.match_info["name"])
        return file.response(request) if file else web.Response(status=404, text="There is no such file.\n")

    async def _trace(self, request: web.Request) -> web.Response:
        found = self._recorder.traces.of(bytes.fromhex(request.match_info["trace_id"]))
        if not found:
            return _json({"error": "This trace is not among the last ones; your backend may have it."}, 404)
        return _json(trace(found))

    async def _routes(self, _request: web.Request) -> web.Response:
        routes = self._recorder.routes
        exemplars = _exemplars(self._recorder)
        rows = [
            {**asdict(one), "exemplars": exemplars.get((one.service, one.route), [])}
            for one in routes.figures(_PERCENTILES)
        ]
        return _json({"window_seconds": routes.window_seconds, "routes": rows})

    async def _trial(self, request: web.Request) -> web.Response:
        """Try rules on the last requests; changes nothing, so that a POST is only for the size of its body."""
        if request.content_type != "application/json":
            return _json({"faults": ["must be sent as application/json"]}, 415)
        if self._trying.locked():
            return _json({"faults": ["another set of rules is being tried; try again in a moment"]}, 429)
        async with self._trying:
            try:
                question = msgspec.json.decode(await request.read(), type=_Question)
                sampling = read_sampling(question.rules)
                requests = [one for one in self._recorder.requests.snapshot() if question.is_about(one.service)]
                outcome = await asyncio.to_thread(try_rules, sampling, requests)
            except msgspec.DecodeError as error:
                return _json({"faults": [f"cannot be read: {error}"]}, 400)
            except ConfigError as error:
                return _json({"faults": [str(fault) for fault in error.faults]}, 422)
        return _json({**asdict(outcome), "bytes_per_span": self._recorder.traces.bytes_per_span})


class _Question(msgspec.Struct):
    """What is to be tried, on the requests of which service; None for all."""

    rules: str
    service: str | None = None

    def is_about(self, service: str) -> bool:
        return self.service is None or service == self.service


class _File(msgspec.Struct, frozen=True):
    """A file of the page, in memory: a hundred kilobytes are less than a cache to think about."""

    body: bytes
    content_type: str
    tag: str

    @classmethod
    def read(cls, path: Path) -> _File:
        body = path.read_bytes()
        return cls(body, _TYPES[path.suffix], hashlib.blake2b(body, digest_size=8).hexdigest())

    def response(self, request: web.Request) -> web.Response:
        # Asked for again each time, so that a page never mixes two versions; 304 where it has not changed.
        headers = {"Cache-Control": "no-cache", "ETag": f'"{self.tag}"'}
        if any(tag.value == self.tag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, content_type=self.content_type, charset="utf-8", headers=headers)


def _exemplars(recorder: Recorder) -> Mapping[tuple[str, str], list[dict[str, Any]]]:
    """Return for each route its newest trace, its slowest, and its newest error, of those that are still here."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in recorder.traces.after(0, len(recorder.traces)):
        mine = found.setdefault((one.service, one.route), {})
        mine["newest"] = one
        mine["slowest"] = max(mine.get("slowest", one), one, key=lambda trace: trace.duration_ms)
        if one.is_error:
            mine["error"] = one
    return {
        route: [
            {"what": what, "trace_id": one.trace_id.hex(), "status": one.status, "duration_ms": one.duration_ms}
            for what, one in mine.items()
        ]
        for route, mine in found.items()
    }


def _json(data: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(data), content_type="application/json")
