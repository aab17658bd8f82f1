"""Kong's side of the `MsgPack:1` protocol: calls, answers, and the event loop between them.

Every PDK call of a plugin is an answer to one call and is answered by the next. Knows neither HTTP nor the meaning of
PDK calls.

Source: kong/runloop/plugin_servers/rpc/mp_rpc.lua of Kong 3.9.1; transcripts 01-43, probes-*.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from otlp_tracing.errors import WireError
from otlp_tracing_devtools.fake_kong.lua_values import encode_json
from otlp_tracing_devtools.fake_kong.msgpack_codec import MessageDecoder, encode_call
from otlp_tracing_devtools.fake_kong.plugin_rpc import InstanceConfig, PdkCaller, PluginError, RpcError
from otlp_tracing_devtools.fake_kong.rpc_connections import ConnectionPool, PluginConnection

_RESPONSE = 1
_NOTIFICATION = 2


Call = Callable[[str, Any], Awaitable[Any]]
"""Send one method with one argument and give the answer's result."""


async def run_event(call: Call, instance_id: Any, phase: str, pdk: PdkCaller) -> None:
    """Run one event: from HandleEvent, over a Step per PDK call, to "ret".

    Args:
        call: sends and receives; raises `RpcError` and `PluginError`.
        instance_id: as StartInstance gave it.
        phase: `access`, `log`, …
        pdk: runs the calls.

    Raises:
        RpcError: see `PluginRpc.handle_event`; likewise `PluginError` and `RequestExited`.
    """
    answer = await call("plugin.HandleEvent", {"InstanceId": instance_id, "EventName": phase})
    if answer is None:
        return  # Lua: `nil, nil`, taken for the end
    event_id = _field(answer, "EventId")
    while _field(answer, "Data") != "ret":
        step = _field(answer, "Data")
        method = _field(step, "Method")
        if not isinstance(method, str):
            raise PluginError("attempt to call a method without a name")
        result = await pdk.call(method, _field(step, "Args"))
        # In this order, and without Data when the result is nil: transcript 01.
        argument = {"EventId": event_id} if result is None else {"Data": result, "EventId": event_id}
        answer = await call(_step_method(method), argument)
        if answer is None:
            return


def _field(table: Any, name: str) -> Any:
    """Index as Lua does: nil for a missing field, an error for anything but a table."""
    if isinstance(table, dict):
        return table.get(name)
    if isinstance(table, (list, str)):
        return None
    raise PluginError(f"attempt to index field '{name}' (a {type(table).__name__} value)")


def _step_method(method: str) -> str:
    return "plugin.StepMultiMap" if method == "kong.request.get_headers" else "plugin.Step"


class MsgPackRpc:
    """One worker's connection pool and message counter for one plugin server."""

    lost_words: tuple[str, ...] = ("no plugin instance",)
    errors_end_requests = False

    def __init__(self, socket: Path, read_timeout_s: float) -> None:
        self.on_new_server: Callable[[], None] = lambda: None
        self._server_pid: int | None = None
        self._pool = ConnectionPool(socket, MessageDecoder)
        self._read_timeout_s = read_timeout_s
        self._message_ids = itertools.count(1)

    async def start_instance(self, config: InstanceConfig) -> Any:
        """See `PluginRpc`."""
        configuration = encode_json(config.config).decode("utf-8", "surrogateescape")
        try:
            status = await self._call("plugin.StartInstance", {"Config": configuration, "Name": config.plugin_name})
        except RpcError as error:
            raise PluginError(f"starting instance: {error}") from None
        if status is None:
            raise PluginError("starting instance: nil")
        return _field(status, "Id")

    async def close_instance(self, instance_id: Any) -> None:
        """See `PluginRpc`."""
        with contextlib.suppress(RpcError):  # another worker may have closed it
            await self._call("plugin.CloseInstance", instance_id)

    async def handle_event(self, instance_id: Any, phase: str, pdk: PdkCaller) -> None:
        """See `PluginRpc`."""
        await run_event(self._call, instance_id, phase, pdk)

    async def close(self) -> None:
        """See `PluginRpc`."""
        self._pool.close()

    async def _call(self, method: str, argument: Any) -> Any:
        """Send one call and wait for its answer, on a connection of the pool.

        Raises:
            RpcError: Lua's `nil, err`.
            PluginError: Lua's `error`; the connection is not used again.
        """
        message_id = next(self._message_ids)
        connection = await self._pool.acquire()
        try:
            connection.send(encode_call(message_id, method, argument))
            error, result = await self._answer(connection, message_id)
        except RpcError:
            self._pool.release(connection)
            raise
        except BaseException:
            self._pool.discard(connection)
            raise
        self._pool.release(connection)
        if error is None:
            return result
        if not isinstance(error, str):
            raise PluginError(f"attempt to call method 'lower' on a {type(error).__name__}")
        raise RpcError(error)

    async def _answer(self, connection: PluginConnection, message_id: int) -> tuple[Any, Any]:
        while True:
            try:
                message = await connection.receive(self._read_timeout_s)
            except WireError as error:
                raise PluginError(str(error)) from None
            except RpcError:
                raise RpcError("no data") from None  # Kong says the same to a closed connection and to silence
            if not isinstance(message, list):
                raise PluginError("attempt to index an answer that is no array")
            kind, label, *rest = [*message, None, None, None, None][:4]
            if kind == _NOTIFICATION:
                self._notified(label, rest[0])
                continue
            if kind != _RESPONSE:
                raise PluginError("RPC response expected from Go plugin server")
            if label != message_id:
                raise PluginError("unexpected RPC response ID from Go plugin server")
            return rest[0], rest[1]

    def _notified(self, label: Any, value: Any) -> None:
        """Take a notification; the only one Kong knows is `serverPid`."""
        if label == "serverPid" and isinstance(value, int):
            if self._server_pid not in {None, value}:
                self.on_new_server()
            self._server_pid = value
