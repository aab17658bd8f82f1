"""Relay bytes both ways between two connections, after a 101."""

from __future__ import annotations

import asyncio

_PIECE_BYTES = 64 * 1024


async def relay(
    client_reader: asyncio.StreamReader,
    client_writer: asyncio.StreamWriter,
    upstream_reader: asyncio.StreamReader,
    upstream_writer: asyncio.StreamWriter,
) -> int:
    """Relay until either side closes; give how many bytes went to the client."""
    down = asyncio.ensure_future(_copy(upstream_reader, client_writer))
    up = asyncio.ensure_future(_copy(client_reader, upstream_writer))
    try:
        await asyncio.wait({down, up}, return_when=asyncio.FIRST_COMPLETED)
        return down.result() if down.done() and not down.exception() else 0
    finally:
        down.cancel()
        up.cancel()
        await asyncio.gather(down, up, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    copied = 0
    while data := await reader.read(_PIECE_BYTES):
        writer.write(data)
        copied += len(data)
        await writer.drain()
    return copied
