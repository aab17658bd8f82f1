"""Kong's side of the `ProtoBuf:1` protocol: calls, returns, and the PDK calls between them.

One connection carries a whole event: pairs of frames come in, a method and its arguments, and each is answered by one
frame; an empty one ends the event. Knows neither HTTP nor the meaning of PDK calls.

Source: kong/runloop/plugin_servers/rpc/pb_rpc.lua of Kong 3.9.1; transcript 60.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from otlp_tracing.errors import WireError
from otlp_tracing_devtools.fake_kong.lua_values import encode_json, encode_text
from otlp_tracing_devtools.fake_kong.plugin_rpc import InstanceConfig, PdkCaller, PluginError, RpcError
from otlp_tracing_devtools.fake_kong.protobuf_codec import (
    FrameDecoder,
    arguments_of,
    decode_return,
    encode_frame,
    encode_result,
    encode_rpc_call,
)
from otlp_tracing_devtools.fake_kong.protobuf_schema import CALLS
from otlp_tracing_devtools.fake_kong.rpc_connections import ConnectionPool, PluginConnection
from otlp_tracing_devtools.fake_kong.version import NEWEST, PROTOBUF_ERRORS_END_REQUESTS, Version

_FIRST_SEQUENCE = 2  # Kong counts twice: once for itself, once for the message

Receive = Callable[[], Awaitable[bytes]]
"""Give the next frame."""


async def run_event(receive: Receive, send: Callable[[bytes], None], pdk: PdkCaller) -> None:
    """Run the PDK calls of one event, until the frame that ends it.

    Raises:
        RpcError: a frame does not come; or Kong has no such method.
        PluginError: a call is wrong, or throws; nothing is answered then.
        RequestExited: a call answered the client.
    """
    while name := await receive():
        arguments = await receive()
        method = name.decode("utf-8", "replace")
        if method not in CALLS:
            raise RpcError(f'method "{method}" not found')
        result = await pdk.call(method, arguments_of(method, arguments))
        send(encode_frame(encode_result(method, result)))


class ProtoBufRpc:
    """One worker's connection pool and message counter for one plugin server."""

    lost_words: tuple[str, ...] = ("no plugin instance", "closed")

    def __init__(self, socket: Path, read_timeout_s: float, version: Version = NEWEST) -> None:
        self.errors_end_requests = version >= PROTOBUF_ERRORS_END_REQUESTS
        self.on_new_server: Callable[[], None] = lambda: None  # ProtoBuf has no notifications
        self._pool = ConnectionPool(socket, FrameDecoder)
        self._read_timeout_s = read_timeout_s
        self._sequences = itertools.count(_FIRST_SEQUENCE)

    async def start_instance(self, config: InstanceConfig) -> Any:
        """See `PluginRpc`."""
        fields = {"name": encode_text(config.plugin_name), "config": encode_json(config.config)}
        try:
            answer = await self._call("cmd_start_instance", fields)
        except RpcError as error:
            raise PluginError(f"starting instance: {error}") from None
        if not answer.HasField("instance_status"):
            raise PluginError("attempt to index field 'instance_status' (a nil value)")
        return answer.instance_status.instance_id

    async def close_instance(self, instance_id: Any) -> None:
        """See `PluginRpc`."""
        with contextlib.suppress(RpcError):  # another worker may have closed it
            await self._call("cmd_close_instance", {"instance_id": instance_id})

    async def handle_event(self, instance_id: Any, phase: str, pdk: PdkCaller) -> None:
        """See `PluginRpc`."""
        await self._call("cmd_handle_event", {"instance_id": instance_id, "event_name": phase.encode()}, pdk)

    async def close(self) -> None:
        """See `PluginRpc`."""
        self._pool.close()

    async def _call(self, command: str, fields: Mapping[str, Any], pdk: PdkCaller | None = None) -> Any:
        """Send one call, run the server's PDK calls in between, and give its return.

        Only a connection with a successful call is used again.

        Raises:
            RpcError: Lua's `nil, err`.
            PluginError: Lua's `error`.
            RequestExited: a PDK call answered the client.
        """
        sequence = next(self._sequences)
        connection = await self._pool.acquire()
        try:
            connection.send(encode_frame(encode_rpc_call(sequence, command, fields)))
            answer = await self._answer(connection, pdk)
            if answer.sequence != sequence:
                raise PluginError("assertion failed!")
        except WireError as error:
            self._pool.discard(connection)
            raise PluginError(str(error)) from None
        except BaseException:
            self._pool.discard(connection)
            raise
        self._pool.release(connection)
        return answer

    async def _answer(self, connection: PluginConnection, pdk: PdkCaller | None) -> Any:
        async def receive() -> bytes:
            frame: bytes = await connection.receive(self._read_timeout_s)
            return frame

        if pdk is not None:
            await run_event(receive, connection.send, pdk)
        return decode_return(await receive())
