"""Server-sent events: new traces, gathered for half a second, and counts.

Each open page reads from the ring at its own pace. A slow page skips traces that were evicted meanwhile and delays
no other page. Without an open page nothing runs.

Source: WHATWG HTML, 9.2 Server-sent events.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from aiohttp import web

from otlp_tracing import __version__
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.live.http.trace_json import row
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.live.traces import RecentTrace

_GATHER_SECONDS = 0.5
_SILENT_SECONDS = 5.0  # the page considers the connection lost after three times that
# A page that received nothing for this long has closed the connection and reconnects.
_WRITE_TIMEOUT_SECONDS = 3 * _SILENT_SECONDS
MAX_ROWS_AT_ONCE = 100
_ROWS_AT_FIRST = 300
# A page costs a connection and some rows twice a second; this is enough for a team.
MAX_WATCHERS = 16


class EventStream:
    """The event stream of a sidecar.

    Args:
        recorder: source of the traces and counts.
        options: their trace_url is sent to the page.
        write_timeout: seconds after which a page that reads nothing is disconnected.
    """

    def __init__(self, recorder: Recorder, options: PageOptions, write_timeout: float = _WRITE_TIMEOUT_SECONDS) -> None:
        self._recorder = recorder
        self._write_timeout = write_timeout
        self._hello = {"version": __version__, "trace_url": options.trace_url}
        # Numbers begin again in another process, so a page that reconnects to one must start from the beginning.
        self._epoch = secrets.token_hex(4)
        self._closing = asyncio.Event()
        self._watchers = 0
        # Several open pages need the same rows at about the same time.
        self._row = lru_cache(maxsize=2 * MAX_ROWS_AT_ONCE)(_encoded_row)

    def close(self) -> None:
        """End every stream."""
        self._closing.set()

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Serve one page until it disconnects; `?after=` is the id of the last event that it received."""
        if self._watchers >= MAX_WATCHERS:
            return web.Response(status=503, text=f"{MAX_WATCHERS} pages are already open; close one.\n")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        self._watchers += 1
        try:
            with contextlib.suppress(ConnectionError):
                self._set_kernel_timeout(request)
                await response.prepare(request)
                await self._send(response, request.query.get("after", ""))
        except asyncio.TimeoutError:
            # Abort: close() would wait until the page has read all that was written.
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._watchers -= 1
        return response

    def _set_kernel_timeout(self, request: web.Request) -> None:
        """Let the kernel end the connection of a page that lost its network.

        By default the kernel keeps trying for a quarter of an hour, and a write blocks only after some megabytes.
        Source: tcp(7), TCP_USER_TIMEOUT.
        """
        connection = request.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._write_timeout * 1000))

    async def _write(self, response: web.StreamResponse, event: bytes) -> None:
        await asyncio.wait_for(response.write(event), self._write_timeout)

    async def _send(self, response: web.StreamResponse, after: str) -> None:
        epoch, _, number = after.partition(".")
        resumed = epoch == self._epoch and number.isdecimal()
        last = int(number[:18]) if resumed else 0
        await self._write(response, _event("hello", {**self._hello, "resumed": resumed}))
        limit, silent = _ROWS_AT_FIRST, 0.0
        seen = -1
        while not self._closing.is_set():
            traces = self._recorder.traces.after(last, limit)
            if traces or self._recorder.requests.seen != seen or silent >= _SILENT_SECONDS:
                last = traces[-1].number if traces else last
                seen, silent = self._recorder.requests.seen, 0.0
                await self._write(response, self._traces(traces, last))
            limit = MAX_ROWS_AT_ONCE
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _GATHER_SECONDS)
            silent += _GATHER_SECONDS

    def _traces(self, traces: list[RecentTrace], last: int) -> bytes:
        recorder = self._recorder
        return _event(
            "traces",
            {
                "rows": [self._row(trace) for trace in traces],
                "requests": recorder.requests.seen,
                "kept": recorder.requests.kept,
                "passed_over": recorder.traces.passed_over,
            },
            f"{self._epoch}.{last}",
        )


def _encoded_row(trace: RecentTrace) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(row(trace)))


def _event(name: str, data: Mapping[str, Any], identifier: str = "") -> bytes:
    # Compact JSON has no line break, and in strings it is written \n: one data line is enough.
    head = f"id: {identifier}\nevent: {name}\ndata: " if identifier else f"event: {name}\ndata: "
    return head.encode() + msgspec.json.encode(data) + b"\n\n"
