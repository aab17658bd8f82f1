"""Do something for a client, as long as the client waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from otlp_tracing.errors import TracingError

T = TypeVar("T")


class ClientGoneError(TracingError):
    """The client gave its request up before it was answered."""


async def unless_gone(work: Coroutine[Any, Any, T], gone: asyncio.Event) -> T:
    """Give the result of the work; it is cancelled if the client disconnects first.

    Raises:
        ClientGoneError: it did.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(gone.wait())
    waited_for: set[asyncio.Future[Any]] = {working, leaving}
    try:
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError("the client is gone")
        return working.result()
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
