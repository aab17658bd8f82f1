"""Takes the log records that Kong's own queue brings: batches of the bundled http-log, over HTTP, with a token.

A batch is answered with 200 once its spans are safe in the spool, as the records of the unix socket are acknowledged.
Kong's queue repeats a batch with any other answer, or without one. What came before is recognized: by request while
this process runs (repeated_requests.py), and by batch after a restart (repeated_batches.py).

A record names its plugin entry by a digest. Its configuration comes over the unix socket, from the plugin server. A
batch with a record of an unknown entry is answered with 503 for a while, so that Kong repeats it.

Source: kong/plugins/http-log/handler.lua, kong/tools/queue.lua of Kong 3.4.2 and 3.9.3.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Mapping

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from otlp_tracing.errors import WireError
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.sidecar.ingest.log_batch import split
from otlp_tracing.sidecar.ingest.options import PATH, TOKEN_HEADER, IngestOptions
from otlp_tracing.sidecar.ingest.record_sink import QueueSink
from otlp_tracing.sidecar.ingest.repeated_batches import RepeatedBatches
from otlp_tracing.sidecar.ingest.scopes import UNNAMED

_log = logging.getLogger("otlp_tracing.sidecar.ingest.http_listener")

# 200 records, the batch that docs/hand-over.md ships, of 100 kB each: what Kong's limit of 32 KiB for a request's head
# can become (handoff/frames.py).
MAX_BODY_BYTES = 32 << 20
MAX_RECORD_BYTES = 1 << 20  # as a frame's
# Batches in memory at a time. Every nginx worker has one on the way; the others wait in the sockets.
_MAX_BATCHES = 4
_MAX_CONNECTIONS = 512  # a keep-alive connection or two of each nginx worker, on the largest machines
_BODY_SECONDS = 5.0  # for a whole body; http-log waits 10 s for its answer
_WAIT_SECONDS = 5.0  # for a place, for room in the spool, for the disk: likewise
_HEAD_SECONDS = 10.0  # from the connection to the first request
_IDLE_SECONDS = 75.0  # http-log keeps an idle connection for 60 s
_SLICE = 200  # records processed before others have their turn; a batch as shipped is spooled as one
# After a restart the workers connect within 0.2 s, and a plugin server within seconds.
_ENTRY_SECONDS = 30.0
# For records that name no entry: most such requests have no entry, and Kong's queue waits meanwhile.
_START_SECONDS = 10.0
_MAX_MISSING = 1024  # unknown entries that are waited for


class BatchListener:
    """Answers the requests of http-log.

    Args:
        sink: where records go.
        spooled: by worker_id the number of the last record that an earlier process made safe.
        options: with the token that each batch must bring.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        sink: QueueSink,
        spooled: Mapping[bytes, int],
        options: IngestOptions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._token = options.token.encode()
        self._clock = clock
        self._repeated = RepeatedBatches(spooled, self._token)
        self._places = asyncio.Semaphore(_MAX_BATCHES)
        self._missing_since: dict[bytes, float] = {UNNAMED: clock()}
        self._refused = LimitedLog(_log)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request."""
        if request.path != PATH:
            return _close(404, f"batches are taken at {PATH}")
        if request.method != "POST":
            return _close(405, "only POST")
        given = request.headers.get(TOKEN_HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._token):
            return self._refuse(401, "bad_token", f"the token in {TOKEN_HEADER} is missing or wrong")
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return self._refuse(413, "bad_batch", f"the body has more than {MAX_BODY_BYTES} bytes")
        try:
            await asyncio.wait_for(self._places.acquire(), _WAIT_SECONDS)
        except asyncio.TimeoutError:
            return _close(503, "too many batches at a time")
        try:
            return await self._take_body(request)
        finally:
            self._places.release()

    async def _take_body(self, request: web.BaseRequest) -> web.Response:
        body = bytearray()
        try:
            await asyncio.wait_for(_read(request, body), _BODY_SECONDS)
        except asyncio.TimeoutError:
            return self._refuse(408, "bad_batch", f"the body did not come within {_BODY_SECONDS:g} s")
        except (ConnectionError, web.RequestPayloadError):
            return self._refuse(400, "bad_batch", "the connection ended within the body")
        if len(body) > MAX_BODY_BYTES:
            return self._refuse(413, "bad_batch", f"the body has more than {MAX_BODY_BYTES} bytes")
        try:
            return await self._take_batch(bytes(body))
        except WireError as error:
            return self._refuse(400, "bad_batch", str(error))

    async def _take_batch(self, body: bytes) -> web.Response:
        digest = self._repeated.digest(body)
        if self._repeated.is_repeated(digest):
            return web.Response(text="taken before\n")
        records, broken = split(body)
        for _ in range(broken):
            self._sink.reject("bad_record")
        if broken:
            self._refused.warning("%d broken records in a batch; the other %d are taken", broken, len(records))
        try:
            await asyncio.wait_for(self._sink.room(), _WAIT_SECONDS)
            missing = 0
            for at, record in enumerate(records):
                if at and at % _SLICE == 0:
                    await asyncio.sleep(0)
                missing += not self._take(record, digest + at.to_bytes(4, "big"))
            safe = self._sink.flush(*self._repeated.take(digest, is_whole=not missing))
            if safe is not None:
                await asyncio.wait_for(asyncio.shield(safe), _WAIT_SECONDS)
        except asyncio.TimeoutError:
            return web.Response(status=503, text="the spool is slow or has no room\n")
        if missing:
            return web.Response(status=503, text=f"{missing} records are of an entry that is not known yet\n")
        return web.Response(text="taken\n")

    def _take(self, record: bytes, seed: bytes) -> bool:
        if len(record) > MAX_RECORD_BYTES:
            self._refused.warning("record rejected: it has %d bytes, the limit is %d", len(record), MAX_RECORD_BYTES)
            self._sink.reject("bad_record")
            return True
        key = self._sink.take_queued(record, seed, is_last=False)
        if key is None:
            return True
        now = self._clock()
        if now - self._missing_since.setdefault(key, now) < (_ENTRY_SECONDS if key else _START_SECONDS):
            if len(self._missing_since) > _MAX_MISSING:
                del self._missing_since[next(one for one in self._missing_since if one != UNNAMED)]
            return False
        self._sink.take_queued(record, seed, is_last=True)
        return True

    def _refuse(self, status: int, reason: str, text: str) -> web.Response:
        self._refused.warning("batch refused: %s", text)
        self._sink.reject(reason)
        return _close(status, text)


def _close(status: int, text: str) -> web.Response:
    # The rest of an unread body may follow on the connection.
    response = web.Response(status=status, text=f"{text}\n")
    response.force_close()
    return response


async def _read(request: web.BaseRequest, body: bytearray) -> None:
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            return


class IngestServer(web.Server):
    """The HTTP server around a BatchListener: bounds the number of connections and the time of each.

    aiohttp waits for ever for a connection's first head, and for the rest of one.

    Args:
        listener: answers the requests.
    """

    def __init__(self, listener: BatchListener) -> None:
        super().__init__(
            self._answer, access_log=None, keepalive_timeout=_IDLE_SECONDS, lingering_time=1.0, auto_decompress=False
        )
        self._listener = listener
        self._deadlines: dict[RequestHandler, asyncio.TimerHandle] = {}
        self._bound: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; return the address.

        Raises:
            OSError: if the port cannot be had.
        """
        self._bound = await asyncio.get_running_loop().create_server(self, host, port)
        address: tuple[str, int] = self._bound.sockets[0].getsockname()[:2]
        return address

    async def close(self, seconds: float) -> None:
        """Stop listening, and finish the batches on the way for so long."""
        if self._bound is not None:
            self._bound.close()
        await self.shutdown(seconds)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Start the time of a connection; one too many is closed."""
        super().connection_made(handler, transport)
        if len(self.connections) > _MAX_CONNECTIONS:
            transport.abort()
        self._set_deadline(handler, transport, _HEAD_SECONDS)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        super().connection_lost(handler, exc)
        if handler in self._deadlines:
            self._deadlines.pop(handler).cancel()

    def _set_deadline(self, handler: RequestHandler, transport: asyncio.Transport, seconds: float) -> None:
        if handler in self._deadlines:
            self._deadlines[handler].cancel()
        self._deadlines[handler] = asyncio.get_running_loop().call_later(seconds, transport.abort)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._extend(request)
        try:
            return await self._listener.handle(request)
        finally:
            self._extend(request)

    def _extend(self, request: web.BaseRequest) -> None:
        # Longer than everything that the listener waits for, and than a connection is idle.
        if request.transport is not None:
            self._set_deadline(request.protocol, request.transport, _IDLE_SECONDS)
