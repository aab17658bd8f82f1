"""Run a service until SIGTERM or SIGINT; its options."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

from aiohttp import web

__all__ = ["address", "arguments", "listening", "stopped"]

_STOP_SECONDS = 1.0


def arguments(description: str, port: int) -> argparse.ArgumentParser:
    """Make a parser with --listen."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--listen", type=address, default=("0.0.0.0", port), metavar="HOST:PORT", help="address of its HTTP side"
    )
    return parser


def address(text: str) -> tuple[str, int]:
    """Read HOST:PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


@contextlib.asynccontextmanager
async def listening(app: web.Application, where: tuple[str, int]) -> AsyncIterator[None]:
    """Serve an application until the block ends."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, *where).start()
        yield
    finally:
        await runner.cleanup()


async def stopped() -> None:
    """Wait for the signal to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
