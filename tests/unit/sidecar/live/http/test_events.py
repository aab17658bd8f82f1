"""Promises of sidecar/live/http/events.py about pages that take nothing any more."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import ClientError, web
from aiohttp.test_utils import TestClient, TestServer

from doubles import ManualClock
from otlp_tracing.sidecar.live.http.events import MAX_WATCHERS, EventStream
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.live.recorder import Recorder


class StuckResponse(web.StreamResponse):
    """A response to a page whose network has vanished: what is written waits for ever."""

    async def write(self, _data: object) -> None:
        """Wait."""
        await asyncio.Event().wait()

    async def write_eof(self, _data: bytes = b"") -> None:
        """Wait too: the end comes after what was written."""
        await asyncio.Event().wait()


_PATIENCE_SECONDS = 1.0  # far more than it takes to open one page too many while all others are stuck


def application(patience: float) -> web.Application:
    stream = EventStream(Recorder(ManualClock()), PageOptions(), patience)

    async def close(_app: web.Application) -> None:
        stream.close()

    app = web.Application()
    app.router.add_get("/events", stream.events)
    app.on_shutdown.append(close)
    return app


def test_a_page_that_takes_nothing_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """All places are taken by such pages; once they are cut off, the next one is let in."""

    async def course() -> tuple[int, int, int]:
        async with TestClient(TestServer(application(patience=_PATIENCE_SECONDS))) as there:
            with monkeypatch.context() as patched:
                patched.setattr(web, "StreamResponse", StuckResponse)
                stuck = [await there.get("/events") for _ in range(MAX_WATCHERS)]
                refused = (await there.get("/events")).status
                cut = await asyncio.gather(*(one.read() for one in stuck), return_exceptions=True)
            admitted = (await there.get("/events")).status
            return refused, sum(isinstance(one, ClientError) for one in cut), admitted

    assert asyncio.run(asyncio.wait_for(course(), 10)) == (503, MAX_WATCHERS, 200)


def test_the_kernel_is_told_the_same_patience() -> None:
    """What was sent and is not acknowledged ends the connection after it, also before a write is held up."""

    async def course() -> int:
        asked: list[int] = []

        async def look(request: web.Request, _response: web.StreamResponse) -> None:
            connection = request.get_extra_info("socket")
            asked.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))

        app = application(patience=7.0)
        app.on_response_prepare.append(look)
        async with TestClient(TestServer(app)) as there:
            (await there.get("/events")).close()
        return asked[0]

    assert asyncio.run(course()) == 7000
