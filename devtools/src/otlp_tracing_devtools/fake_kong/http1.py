"""HTTP/1.1 on a stream: heads, body framing, nothing else.

Used towards clients and towards upstreams alike. It keeps every byte of a header value and of a request target, as
nginx does. No library does that: aiohttp's writer encodes header values as UTF-8. h11 refuses a target with a byte
above 0x7E, and does not tell a head's size, which is in the log record. Knows no Kong.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from otlp_tracing.errors import WireError
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.lua_values import encode_text, to_text

MAX_HEAD_BYTES = 64 * 1024  # nginx: 4 buffers of 8k; twice that, since a test may want to pass its limits
_MAX_LINE_BYTES = 4096  # of a chunk's size and of a trailer
_READ_BYTES = 64 * 1024  # one read from the socket, as nginx's proxy buffers would hold


class MessageError(WireError):
    """The peer's bytes are no HTTP/1.1 message, or stop in the middle of one."""


@dataclass(frozen=True)
class Head:
    """A start line and header lines; `size` is their length on the wire, in bytes."""

    start_line: str
    headers: Headers
    size: int


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read up to the empty line; None when the peer closes before the first byte.

    Raises:
        MessageError: closed half way, too long, or not header lines.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise MessageError("the connection ended inside a head") from None
        return None
    except asyncio.LimitOverrunError:
        raise MessageError(f"a head has more than {MAX_HEAD_BYTES} bytes") from None
    start_line, *lines = raw[:-4].split(b"\r\n")
    return Head(to_text(start_line), Headers(_header(line) for line in lines), len(raw))


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon or not name or name != name.strip():
        raise MessageError("a header line is not `name: value`")
    return to_text(name), to_text(value.strip(b" \t"))


def encode_head(start_line: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Write a head; line breaks in a value, which would forge a header, become spaces."""
    lines = [start_line, *(f"{name}: {value}" for name, value in headers)]
    clean = (line.replace("\r", " ").replace("\n", " ") for line in lines)
    return encode_text("\r\n".join(clean)) + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Frame one piece of a body of unknown length; empty data ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def body_of(reader: asyncio.StreamReader, headers: Headers, *, until_close: bool) -> AsyncIterator[bytes] | None:
    """Give the body that follows a head, without its framing; None without a body.

    Args:
        reader: is right behind the head.
        headers: they tell the framing.
        until_close: whether a body without a length ends with the connection: in answers, not in requests.

    Raises:
        MessageError: here, or while reading: the framing is wrong or the body is cut off.
    """
    if "chunked" in headers.tokens("transfer-encoding"):
        return _chunked(reader)
    length = headers.get("content-length")
    if length is None:
        return _until_close(reader) if until_close else None
    if not (length.isascii() and length.isdigit()):
        raise MessageError("Content-Length is not a number")
    return _counted(reader, int(length)) if int(length) else None


async def _counted(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length:
        data = await reader.read(min(length, _READ_BYTES))
        if not data:
            raise MessageError(f"the body ended {length} bytes early")
        length -= len(data)
        yield data


async def _until_close(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while data := await reader.read(_READ_BYTES):
        yield data


async def _chunked(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        size_line = await _line(reader)
        try:
            size = int(size_line.partition(b";")[0], 16)
        except ValueError:
            raise MessageError("a chunk's size is not a hexadecimal number") from None
        if not size:
            break
        async for data in _counted(reader, size):
            yield data
        await _line(reader)
    while await _line(reader):  # trailers are read and dropped
        pass


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readuntil(b"\r\n")
    except asyncio.IncompleteReadError:
        raise MessageError("the body ended inside a chunk") from None
    except asyncio.LimitOverrunError:
        raise MessageError("a chunk's line is too long") from None
    if len(line) > _MAX_LINE_BYTES:
        raise MessageError("a chunk's line is too long")
    return line[:-2]
