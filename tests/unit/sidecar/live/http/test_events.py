"""Promises of sidecar/live/http/events.py."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import ClientError, web
from aiohttp.test_utils import TestClient, TestServer

from doubles import ManualClock
from live_app import (
    client,
    read_events,
    recorded,
)
from otlp_tracing.sidecar.live.http import events
from otlp_tracing.sidecar.live.http.events import MAX_WATCHERS, EventStream
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.otlp.encoder import encode_span
from spans_of import outcome_of, spans_of


class StuckResponse(web.StreamResponse):
    """A response to a page without a network: a write never returns."""

    async def write(self, _data: object) -> None:
        """Wait."""
        await asyncio.Event().wait()

    async def write_eof(self, _data: bytes = b"") -> None:
        """Wait forever as well."""
        await asyncio.Event().wait()


_TIMEOUT_SECONDS = 1.5  # far more than it takes to open three pages


def application(write_timeout: float) -> web.Application:
    stream = EventStream(Recorder(ManualClock()), PageOptions(), write_timeout)

    async def close(_app: web.Application) -> None:
        stream.close()

    app = web.Application()
    app.router.add_get("/events", stream.events)
    app.on_shutdown.append(close)
    return app


async def test_a_page_that_reads_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such pages fill all places; after the timeout the next page is admitted."""
    monkeypatch.setattr(events, "MAX_WATCHERS", 2)
    async with TestClient(TestServer(application(write_timeout=_TIMEOUT_SECONDS))) as there:
        with monkeypatch.context() as patched:
            patched.setattr(web, "StreamResponse", StuckResponse)
            stuck = [await there.get("/events") for _ in range(2)]
            refused = (await there.get("/events")).status
            cut = await asyncio.wait_for(asyncio.gather(*(one.read() for one in stuck), return_exceptions=True), 60)
        admitted = (await there.get("/events")).status

    assert (refused, admitted) == (503, 200)
    assert all(isinstance(one, ClientError) for one in cut)


async def test_the_kernel_has_the_same_timeout() -> None:
    """Unacknowledged data ends the connection even before a write blocks."""
    timeouts: list[int] = []

    async def read_option(request: web.Request, _response: web.StreamResponse) -> None:
        connection = request.get_extra_info("socket")
        timeouts.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))

    app = application(write_timeout=7.0)
    app.on_response_prepare.append(read_option)
    async with TestClient(TestServer(app)) as there:
        (await there.get("/events")).close()

    assert timeouts == [7000]


async def test_the_stream_resumes_after_the_last_event() -> None:
    """A new page gets a greeting and all traces, a reconnecting one only later traces."""
    recorder = recorded(2)
    async with client(recorder, trace_url="http://jaeger/{trace_id}") as there:
        first = await read_events(there, "/events", "rows")
        recorder.observe(outcome_of(route_key=("", ""), spans=[encode_span(span) for span in spans_of()]))
        again = await read_events(there, f"/events?after={first[-1][1]['id']}", "rows")

    assert [name for name, _ in first] == ["hello", "traces"]
    assert first[0][1]["trace_url"] == "http://jaeger/{trace_id}"
    assert (first[0][1]["resumed"], again[0][1]["resumed"]) == (False, True)
    assert [row["number"] for row in first[1][1]["rows"]] == [1, 2]
    assert [row["number"] for row in again[1][1]["rows"]] == [3]
    assert (again[1][1]["requests"], again[1][1]["kept"]) == (3, 3)


@pytest.mark.parametrize("after", ["0000.5", "x", ".", "1.1.1", "0000.-1", "9" * 400])
async def test_a_page_of_another_process_starts_again(after: str) -> None:
    """The event id of another process is ignored."""
    async with client() as there:
        (_, hello), (_, traces) = await read_events(there, f"/events?after={after}", "rows")

    assert hello["resumed"] is False
    assert [row["number"] for row in traces["rows"]] == [1]


async def test_pages_are_bounded() -> None:
    """A page too many is refused until another one closes."""
    async with client() as there:
        open_pages = [await there.get("/events") for _ in range(MAX_WATCHERS)]
        refused = (await there.get("/events")).status
        for page in open_pages:
            page.close()
        deadline = asyncio.get_running_loop().time() + 20
        while (await there.get("/events")).status != 200:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)

    assert [*{page.status for page in open_pages}, refused] == [200, 503]


async def test_streams_end_when_the_sidecar_does() -> None:
    """An open page does not delay the shutdown; aiohttp alone would wait a minute."""
    loop = asyncio.get_running_loop()
    async with client() as there:
        await there.get("/events")
        began = loop.time()

    assert loop.time() - began < 10
