"""An HTTP/1.1 upstream with scripted answers, for tests of the stand-in Kong.

It keeps every request with the exact bytes of its header lines. Knows no gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType

from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.http1 import MAX_HEAD_BYTES, MessageError, body_of, encode_head, read_head


@dataclass(frozen=True)
class UpstreamCall:
    """One request; names and values of headers are text that keeps any byte (surrogateescape)."""

    method: str
    target: str
    headers: Headers
    body: bytes


Respond = Callable[[UpstreamCall, asyncio.StreamWriter], Awaitable[None]]
"""Writes the answer's bytes; the connection is closed after it."""


async def echo(call: UpstreamCall, writer: asyncio.StreamWriter) -> None:
    """Answer with the request as JSON; 201 to a POST."""
    body = json.dumps({"method": call.method, "target": call.target, "headers": list(call.headers)}).encode()
    lines = [
        ("Server", "ScriptedUpstream/1"),
        ("Date", "Sun, 22 Nov 2026 06:11:15 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("X-Upstream-Port", str(writer.get_extra_info("sockname")[1])),
    ]
    writer.write(encode_head(f"HTTP/1.1 {201 if call.method == 'POST' else 200} OK", lines) + body)


class ScriptedUpstream:
    """The server; use it with `async with`."""

    def __init__(self, respond: Respond = echo) -> None:
        self.respond = respond
        self.calls: list[UpstreamCall] = []
        self.port = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> ScriptedUpstream:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: asyncio of Python 3.11 and older complains about a cancelled one.
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(MessageError, OSError):
                await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        if head is None:
            return
        method, target, _ = head.start_line.split(" ", 2)
        body = body_of(reader, head.headers, until_close=False)
        content = b"".join([data async for data in body]) if body else b""
        call = UpstreamCall(method, target, head.headers, content)
        self.calls.append(call)
        await self.respond(call, writer)
        await writer.drain()
