"""A client that speaks HTTP/2, in cleartext with prior knowledge or over TLS."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.http2 import Http2Stream, Http2Streams


async def connect(url: str, tls: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to a URL's host and port."""
    host, _, port = url.rpartition("//")[2].rpartition(":")
    return await asyncio.open_connection(host, int(port), ssl=tls)


class Http2Client:
    """A connection that speaks HTTP/2; use it with `async with`."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._tls = tls

    async def __aenter__(self) -> Http2Client:
        reader, self.writer = await connect(self.url, self._tls)
        self.streams = Http2Streams(reader, self.writer)
        self.running = asyncio.ensure_future(self.streams.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.streams.close()
        await self.running

    async def send(self, path: str, *lines: tuple[str, str], method: str = "GET", body: bytes = b"") -> Http2Stream:
        """Send a request."""
        stream = self.streams.open()
        authority = self.url.rpartition("//")[2]
        pseudo = [(":method", method), (":path", path), (":scheme", "http"), (":authority", authority)]
        await stream.send_headers([*pseudo, *lines], end=not body)
        if body:
            await stream.send_data(body)
            await stream.send_end()
        return stream

    async def fetch(self, path: str, *lines: tuple[str, str], **options: Any) -> tuple[Headers, bytes]:
        """Send a request and give its answer."""
        stream = await self.send(path, *lines, **options)
        head = await stream.head()
        return head, b"".join([data async for data in stream.data()])
