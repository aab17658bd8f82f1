"""HTTP/2 on a stream, either side's: streams, flow control, trailers. Framing and HPACK are h2's.

Used towards clients and towards upstreams alike. A header's value keeps every byte. Knows no Kong. The memory that a
peer can use is bounded: MAX_STREAMS streams with a window of unread bytes each, header lists of 64 KiB, an HPACK table
of 4 KiB either way. Sent bytes wait for the peer to read them, and not for ever.

Source: RFC 9113 and RFC 7541.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from functools import singledispatchmethod

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.http1 import MAX_HEAD_BYTES, MessageError
from otlp_tracing_devtools.fake_kong.lua_values import encode_text, to_text

MAX_STREAMS = 128  # nginx http2_max_concurrent_streams, Kong's default
_WINDOW_BYTES = 65_535  # unread data a stream may have: RFC 9113, 6.9.2; nginx http2_body_preread_size is 64k
_HPACK_TABLE_BYTES = 4096  # of our encoder, however large a table the peer offers, because sent headers would fill it
_READ_BYTES = 64 * 1024
_STALL_S = 60.0  # how long a peer may read nothing; nginx send_timeout
_NOT_IN_HTTP2 = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})


class Http2Streams:
    """One connection and its streams.

    Args:
        reader: the connection, from its first byte on, except the bytes that are given to `run`.
        writer: the connection.
        accept: gets every stream the peer opens, when its head is there; None on the client's side.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        accept: Callable[[Http2Stream], None] | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._accept = accept
        self._streams: dict[int, Http2Stream] = {}
        self._draining = asyncio.Lock()  # Python 3.10 allows one waiter in drain()
        self._ended = False
        client_side = accept is None
        self._core = H2Connection(
            H2Configuration(client_side=client_side, header_encoding=None, validate_outbound_headers=False)
        )
        limits = {
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEAD_BYTES,
            SettingCodes.ENABLE_PUSH: 0,
        }
        self._core.local_settings = Settings(client=client_side, initial_values=limits)
        self._core.initiate_connection()
        self._open_state = ConnectionState.CLIENT_OPEN if client_side else ConnectionState.SERVER_OPEN
        # One unread stream must not stop the others: room for a window each.
        self._core.increment_flow_control_window((MAX_STREAMS - 1) * _WINDOW_BYTES)
        self._flush()

    @property
    def idle(self) -> bool:
        """Whether no stream is in work."""
        return not self._streams

    def open(self) -> Http2Stream:
        """Give a new stream towards the peer; its `send_headers` makes it known there."""
        return self._add(self._core.get_next_available_stream_id())

    async def run(self, received: bytes = b"", idle_s: float | None = None) -> None:
        """Read until either side ends the connection; then every stream left is gone.

        Args:
            received: bytes that were read from the connection already.
            idle_s: how long it may have neither a stream nor anything to read; None for ever.
        """
        try:
            data = received or await self._read(idle_s)
            while data and not self._ended:
                await self._receive(data)
                data = await self._read(idle_s)
        except (H2Error, OSError, asyncio.TimeoutError):
            self._flush()  # h2 has a GOAWAY ready that says why
        finally:
            self._ended = True
            for stream in list(self._streams.values()):
                stream.lose()

    def close(self) -> None:
        """Say goodbye, and read no more."""
        if not self._ended:
            self._ended = True
            self._core.close_connection()
            self._flush()
        self._writer.close()

    async def _read(self, idle_s: float | None) -> bytes:
        while True:
            try:
                return await asyncio.wait_for(self._reader.read(_READ_BYTES), idle_s)
            except asyncio.TimeoutError:
                if self.idle:
                    self.close()
                    return b""

    async def _receive(self, data: bytes) -> None:
        for event in self._core.receive_data(data):
            self._on_event(event)
        await self.flush()

    @singledispatchmethod
    def _on_event(self, event: Event) -> None:
        """Take in one of h2's events; those without a method of their own need nothing done."""

    @_on_event.register
    def _(self, event: RequestReceived) -> None:
        stream = self._add(event.stream_id)
        stream.on_head(event.headers)
        if self._accept:
            self._accept(stream)

    @_on_event.register
    def _(self, event: ResponseReceived) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.on_head(event.headers)

    @_on_event.register
    def _(self, event: TrailersReceived) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.trailers = _lines(event.headers)

    @_on_event.register
    def _(self, event: DataReceived) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.on_data(event.data, event.flow_controlled_length)
        else:
            self.acknowledge(event.stream_id, event.flow_controlled_length)

    @_on_event.register
    def _(self, event: StreamEnded) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.on_end()

    @_on_event.register
    def _(self, event: StreamReset) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.lose()

    @_on_event.register
    def _(self, event: WindowUpdated) -> None:
        self._wake(event.stream_id)

    @_on_event.register
    def _(self, event: RemoteSettingsChanged) -> None:  # noqa: ARG002
        self._core.encoder.header_table_size = min(self._core.encoder.header_table_size, _HPACK_TABLE_BYTES)
        self._wake(0)

    @_on_event.register
    def _(self, event: ConnectionTerminated) -> None:
        if event.error_code:
            self._ended = True
            return
        # The peer opens no new streams, open ones continue (RFC 9113, 6.8); h2 would take no frame of theirs.
        self._core.state_machine.state = self._open_state
        for stream in [*self._streams.values()]:
            if self._accept is None and stream.id > (event.last_stream_id or 0):
                stream.lose()

    def _wake(self, stream_id: int) -> None:
        for stream in list(self._streams.values()):
            if stream_id in {0, stream.id}:
                stream.writable.set()

    def _add(self, stream_id: int) -> Http2Stream:
        stream = self._streams[stream_id] = Http2Stream(stream_id, self)
        return stream

    # Calls of a stream to its connection.

    def forget(self, stream_id: int) -> None:
        """A stream is done with."""
        self._streams.pop(stream_id, None)

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Let the peer send as much again."""
        if size and not self._ended:
            self._core.acknowledge_received_data(size, stream_id)
            self._flush()

    def send_headers(self, stream_id: int, lines: Iterable[tuple[str, str]], *, end: bool) -> int:
        """Queue header lines and give their bytes on the wire; the connection's own lines have no place in HTTP/2."""
        raw = [(_clean(name.lower()), _clean(value)) for name, value in lines if name.lower() not in _NOT_IN_HTTP2]
        return self._send(lambda: self._core.send_headers(stream_id, raw, end_stream=end))

    def send_data(self, stream_id: int, data: bytes, *, end: bool = False) -> int:
        """Queue a piece of a body, no larger than `room`, and give its bytes on the wire."""
        return self._send(lambda: self._core.send_data(stream_id, data, end_stream=end))

    def room(self, stream_id: int) -> int:
        """Give how many bytes may be sent now."""
        try:
            return min(self._core.local_flow_control_window(stream_id), self._core.max_outbound_frame_size)
        except H2Error as error:
            raise ConnectionResetError(str(error)) from None

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """Break a stream off."""
        try:
            self._send(lambda: self._core.reset_stream(stream_id, code))
        except ConnectionResetError:
            return  # it was over already

    async def flush(self) -> None:
        """Wait until the peer has read most of the queued bytes.

        Raises:
            OSError: it is gone, or took nothing for a minute.
        """
        async with self._draining:
            try:
                await asyncio.wait_for(self._writer.drain(), _STALL_S)
            except asyncio.TimeoutError:
                self._writer.transport.abort()
                raise ConnectionResetError("the peer reads nothing") from None

    def _send(self, queue: Callable[[], None]) -> int:
        if self._ended:
            raise ConnectionResetError("the connection has ended")
        try:
            queue()
        except H2Error as error:
            raise ConnectionResetError(f"the stream is closed: {error}") from None
        return self._flush()

    def _flush(self) -> int:
        data = self._core.data_to_send()
        if data and not self._writer.is_closing():
            self._writer.write(data)
        return len(data)


class Http2Stream:
    """One request with its answer. `gone` is set when the peer broke it off or the connection is lost."""

    def __init__(self, stream_id: int, connection: Http2Streams) -> None:
        self.id = stream_id
        self.gone = asyncio.Event()
        self.writable = asyncio.Event()
        self.trailers = Headers()
        self.ended = False
        self._connection = connection
        self._readable = asyncio.Event()
        self._head: Headers | None = None
        self._unread = bytearray()  # bounded by the window, which opens as this is read
        self._unread_flow_bytes = 0
        self._sent_end = False

    @property
    def bodiless(self) -> bool:
        """Whether the peer's message ended with its head, as far as is known."""
        return self.ended and not self._unread

    # Events from the connection.

    def on_head(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the head in."""
        self._head = _lines(raw)
        self._readable.set()

    def on_data(self, data: bytes, flow_bytes: int) -> None:
        """Take a piece of the body in; `flow_bytes` counts its padding too."""
        self._unread += data
        self._unread_flow_bytes += flow_bytes
        self._readable.set()

    def on_end(self) -> None:
        """Note that the peer sends no more."""
        self.ended = True
        self._readable.set()

    def lose(self) -> None:
        """Note that the peer broke it off, or that the connection is lost."""
        self.gone.set()
        self._readable.set()
        self.writable.set()

    # Calls of its owner.

    async def head(self) -> Headers:
        """Wait for the peer's head, its pseudo-headers (`:status`) among the lines.

        Raises:
            MessageError: the stream was broken off before.
        """
        while self._head is None:
            await self._changed("the stream ended without a head")
        return self._head

    async def data(self) -> AsyncIterator[bytes]:
        """Give the peer's body piece by piece; `trailers` are complete after the last.

        Raises:
            MessageError: it is cut off.
        """
        while True:
            if self._unread:
                yield self._pop_unread()
            elif self.ended:
                return
            else:
                await self._changed("the stream ended inside a body")

    def _pop_unread(self) -> bytes:
        data, flow_bytes = bytes(self._unread), self._unread_flow_bytes
        self._unread.clear()
        self._unread_flow_bytes = 0
        self._connection.acknowledge(self.id, flow_bytes)
        return data

    async def _changed(self, cut_off: str) -> None:
        if self.gone.is_set():
            raise MessageError(cut_off)
        self._readable.clear()
        await self._readable.wait()

    async def send_headers(self, lines: Iterable[tuple[str, str]], *, end: bool = False) -> int:
        """Send a head or trailers; give the bytes on the wire.

        Raises:
            OSError: the peer is gone.
        """
        self._sent_end = end
        sent = self._connection.send_headers(self.id, lines, end=end)
        await self._connection.flush()
        return sent

    async def send_data(self, data: bytes) -> int:
        """Send a piece of the body as the peer makes room; give the bytes on the wire.

        Raises:
            OSError: the peer is gone, or made no room for a minute.
        """
        sent = 0
        while data:
            room = await self._room()
            sent += self._connection.send_data(self.id, data[:room])
            data = data[room:]
            await self._connection.flush()
        return sent

    async def send_end(self) -> int:
        """End the body without trailers; give the bytes on the wire.

        Raises:
            OSError: the peer is gone.
        """
        self._sent_end = True
        sent = self._connection.send_data(self.id, b"", end=True)
        await self._connection.flush()
        return sent

    async def _room(self) -> int:
        while (room := self._connection.room(self.id)) <= 0:
            if self.gone.is_set():
                break
            self.writable.clear()
            try:
                await asyncio.wait_for(self.writable.wait(), _STALL_S)
            except asyncio.TimeoutError:
                raise ConnectionResetError("the peer makes no room") from None
        if self.gone.is_set():
            raise ConnectionResetError("the stream was broken off")
        return room

    def close(self, unfinished: ErrorCodes) -> None:
        """End the stream: unread bytes are dropped, and an unfinished stream is reset with this code."""
        self._connection.forget(self.id)
        self._pop_unread()
        if self.gone.is_set():
            return
        if not self._sent_end:
            self._connection.reset(self.id, unfinished)
        elif not self.ended:
            self._connection.reset(self.id, ErrorCodes.NO_ERROR)  # RFC 9113, 8.1: the answer is whole without it


def _lines(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    return Headers((to_text(bytes(name)), to_text(bytes(value))) for name, value in raw)


def _clean(text: str) -> bytes:
    """Line breaks and NUL have no place in a header and would forge one further on."""
    return encode_text(text.replace("\r", " ").replace("\n", " ").replace("\0", " "))
