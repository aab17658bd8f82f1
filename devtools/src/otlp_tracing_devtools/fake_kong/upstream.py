"""The upstream's side: one attempt to send a request to one address over HTTP/1.1 and read the answer.

A connection of its own per attempt. Knows timeouts and framing; knows nothing of retries, which are
the proxy's business, nor of plugins. `grpc_upstream` is the same over HTTP/2.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from otlp_tracing.errors import TracingError
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.http1 import (
    MAX_HEAD_BYTES,
    Head,
    MessageError,
    body_of,
    chunk,
    encode_head,
    read_head,
)


@dataclass(frozen=True)
class Timeouts:
    """A service's timeouts, in seconds; `read_s` and `write_s` hold between two operations."""

    connect_s: float
    write_s: float
    read_s: float


@dataclass(frozen=True)
class UpstreamRequest:
    """The request to the upstream; `body` starts anew on every attempt and is None without a body."""

    method: str
    target: str
    headers: Headers
    body: Callable[[], AsyncIterator[bytes]] | None
    chunked: bool = False


class UpstreamError(TracingError):
    """No answer. `status` is nginx's status for it: 502 or 504; `sent` whether the request left."""

    def __init__(self, status: int, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.status = status
        self.sent = sent


class UpstreamAnswer(Protocol):
    """An answer's head, and its body still to be read; `trailers` are complete after that."""

    status: int
    reason: str
    headers: Headers

    @property
    def trailers(self) -> Headers:
        """Lines that followed the body."""

    def body(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece.

        Raises:
            UpstreamError: it is cut off, or nothing came for the read timeout.
        """

    async def close(self) -> None:
        """Be done with it, whatever has been read of the body."""

    def tunnel(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Give the bare connection after a 101."""


class _Http1Answer:
    """An answer over HTTP/1.1."""

    def __init__(
        self,
        head: Head,
        method: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        sending: asyncio.Future[None],
        read_s: float,
    ) -> None:
        _, status, reason = (*head.start_line.split(" ", 2), "")[:3]
        if not (status.isdigit() and len(status) == 3):
            raise MessageError("the status line is not `HTTP/1.1 nnn reason`")
        self.status = int(status)
        self.reason = reason
        self.headers = head.headers
        self.trailers = Headers()  # HTTP/1.1's are dropped, as nginx does
        self._reader = reader
        self._writer = writer
        self._sending = sending
        self._read_s = read_s
        bodiless = method == "HEAD" or self.status in {101, 204, 304}
        self._body = None if bodiless else body_of(reader, head.headers, until_close=True)

    async def body(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece.

        Raises:
            UpstreamError: it is cut off, or nothing came for the read timeout.
        """
        if self._body is not None:
            async for data in received(self._body, self._read_s):
                yield data

    async def close(self) -> None:
        """Close the connection, whatever has been read of the body."""
        await _close(self._writer, self._sending)

    def tunnel(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Give the bare connection after a 101."""
        return self._reader, self._writer


async def received(pieces: AsyncIterator[bytes], read_s: float) -> AsyncIterator[bytes]:
    """Give an answer's body piece by piece, however it is framed.

    Raises:
        UpstreamError: it is cut off, or nothing came for `read_s` seconds.
    """
    try:
        while data := await asyncio.wait_for(anext(pieces, b""), read_s):
            yield data
    except asyncio.TimeoutError:
        raise UpstreamError(504, "the answer stopped", sent=True) from None
    except (MessageError, OSError) as error:
        raise UpstreamError(502, f"the answer is cut off: {error}", sent=True) from None


async def exchange(
    ip: str, port: int, request: UpstreamRequest, timeouts: Timeouts, tls: ssl.SSLContext | None = None
) -> UpstreamAnswer:
    """Send a request and give its answer, to be closed by the caller.

    Raises:
        UpstreamError: no answer's head arrived.
    """
    reader, writer = await connect(ip, port, request, timeouts, tls)
    sending = asyncio.ensure_future(_send(writer, request, timeouts.write_s))
    try:
        return await _answer(reader, writer, request, timeouts, sending)
    except BaseException:
        await _close(writer, sending)
        raise


async def _close(writer: asyncio.StreamWriter, sending: asyncio.Future[None]) -> None:
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    writer.close()


async def connect(
    ip: str, port: int, request: UpstreamRequest, timeouts: Timeouts, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to send this request on.

    Raises:
        UpstreamError: it cannot be opened, or not in time.
    """
    name = (request.headers.get("host") or ip).rpartition(":")[0] or ip if tls else None
    opening = asyncio.open_connection(ip, port, limit=MAX_HEAD_BYTES, ssl=tls, server_hostname=name)
    try:
        return await asyncio.wait_for(opening, timeouts.connect_s)
    except asyncio.TimeoutError:
        raise UpstreamError(504, "connecting took too long", sent=False) from None
    except OSError as error:
        raise UpstreamError(502, f"cannot connect: {error.strerror}", sent=False) from None


async def _send(writer: asyncio.StreamWriter, request: UpstreamRequest, write_s: float) -> None:
    writer.write(encode_head(f"{request.method} {request.target} HTTP/1.1", request.headers))
    if request.body:
        async for data in request.body():
            writer.write(chunk(data) if request.chunked else data)
            await asyncio.wait_for(writer.drain(), write_s)
        if request.chunked:
            writer.write(chunk(b""))
    await asyncio.wait_for(writer.drain(), write_s)


async def _answer(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: UpstreamRequest,
    timeouts: Timeouts,
    sending: asyncio.Future[None],
) -> _Http1Answer:
    reading = asyncio.ensure_future(_final_head(reader))
    waited_for: set[asyncio.Future[Any]] = {reading, sending}
    try:
        # The read timeout starts when the request is out; an answer may come before that.
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        head = await asyncio.wait_for(reading, timeouts.read_s)
        return _Http1Answer(head, request.method, reader, writer, sending=sending, read_s=timeouts.read_s)
    except asyncio.TimeoutError:
        raise UpstreamError(504, "no answer in time", sent=True) from None
    except (MessageError, OSError) as error:
        raise UpstreamError(502, str(error), sent=True) from None
    finally:
        reading.cancel()


async def _final_head(reader: asyncio.StreamReader) -> Head:
    """Read past 100 and 103: they are not the answer."""
    while True:
        head = await read_head(reader)
        if head is None:
            raise MessageError("the upstream closed the connection without an answer")
        if head.start_line.split(" ")[1:2] not in (["100"], ["102"], ["103"]):
            return head
