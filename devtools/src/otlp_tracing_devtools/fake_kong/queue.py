"""Kong's queue of log plugins: batches, repeated until they are taken or their time is over.

A batch is the entries of a coalescing delay, up to a number of them. While one is sent, entries gather behind it, and
past the queue's size the oldest are dropped, with a line. It lives in the memory of a worker.

Source: kong/tools/queue.lua and queue_schema.lua of Kong 3.9.3.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from otlp_tracing.config.validation import FieldList

_log = logging.getLogger("otlp_tracing_devtools.fake_kong.queue")

QUEUE_FIELDS: FieldList = [
    {"max_batch_size": {"type": "integer", "default": 1, "between": [1, 1_000_000]}},
    {"max_coalescing_delay": {"type": "number", "default": 1, "between": [0, 3600]}},
    {"max_entries": {"type": "integer", "default": 10_000, "between": [1, 1_000_000]}},
    {"max_bytes": {"type": "integer"}},
    {"max_retry_time": {"type": "number", "default": 60}},
    {"initial_retry_delay": {"type": "number", "default": 0.01, "between": [0.001, 1_000_000]}},
    {"max_retry_delay": {"type": "number", "default": 60, "between": [0.001, 1_000_000]}},
    {"concurrency_limit": {"type": "integer", "default": 1, "one_of": [-1, 1]}},
]
"""The fields of `queue` in a log plugin's configuration."""

Send = Callable[[Sequence[bytes]], Awaitable[str | None]]
"""Sends a batch; returns the reason if it was not taken."""


class Queue:
    """One queue of a worker.

    Args:
        config: its QUEUE_FIELDS, complete.
        send: sends a batch.
    """

    def __init__(self, config: Mapping[str, Any], send: Send) -> None:
        self._config = config
        self._send = send
        self._entries: deque[bytes] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._is_stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def add(self, entry: bytes) -> None:
        """Queue an entry; the oldest are dropped if there is no room."""
        most = self._config["max_bytes"] or float("inf")
        if len(entry) > most:
            _log.error("string to be queued is longer (%d bytes) than the queue's max_bytes", len(entry))
            return
        while self._entries and (len(self._entries) >= self._config["max_entries"] or self._bytes + len(entry) > most):
            _log.error("queue full, dropping old entries until processing is successful again")
            self._bytes -= len(self._entries.popleft())
        self._entries.append(entry)
        self._bytes += len(entry)
        self._arrived.set()
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, grace_s: float) -> None:
        """Send the rest within `grace_s`, without waiting for more."""
        self._is_stopping.set()
        if self._running is not None:
            await asyncio.wait([self._running], timeout=grace_s)
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while self._entries:
            await self._coalesce()
            count = min(len(self._entries), self._config["max_batch_size"])
            batch = [self._entries.popleft() for _ in range(count)]
            self._bytes -= sum(map(len, batch))
            await self._deliver(batch)

    async def _coalesce(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._config["max_coalescing_delay"]
        while len(self._entries) < self._config["max_batch_size"] and loop.time() < end:
            if self._is_stopping.is_set():
                return
            self._arrived.clear()
            waits = [asyncio.ensure_future(one.wait()) for one in (self._arrived, self._is_stopping)]
            await asyncio.wait(waits, timeout=end - loop.time(), return_when=asyncio.FIRST_COMPLETED)
            for one in waits:
                one.cancel()

    async def _deliver(self, batch: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        begun, retries = loop.time(), 0
        while (reason := await self._send(batch)) is not None:
            _log.warning("handler could not process entries: %s", reason)
            if loop.time() - begun > self._config["max_retry_time"]:
                _log.error("max_retry_time exceeded. %d queue entries were lost", len(batch))
                return
            delay = self._config["initial_retry_delay"] * 2 ** min(retries, 64)
            await asyncio.sleep(min(delay, self._config["max_retry_delay"]))
            retries += 1
