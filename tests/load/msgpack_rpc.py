"""The client's side of `MsgPack:1`, as Kong 3.9.1 speaks it: every call takes any connection of the pool.

Source: kong/runloop/plugin_servers/rpc/mp_rpc.lua of Kong 3.9.1.
"""

from __future__ import annotations

from typing import Any

import msgpack

from load.loop import Pool, ReadTimeoutError, ResetError, Task, UnreachableError
from load.outcome import Answered500Error, NoInstanceError, Tally, UnpluggedError
from load.traffic import HEADER_SETS, log_record

_HEADER_SETS = [msgpack.packb(headers) for headers in HEADER_SETS]
_METHOD_HEADS = {name: msgpack.packb(f"plugin.{name}") + b"\x91" for name in ("HandleEvent", "Step", "StepMultiMap")}
_EVENT_ID, _DATA = msgpack.packb("EventId"), msgpack.packb("Data")


class MsgPackRpc:
    """Events of one plugin.

    Args:
        pool: of connections.
        plugin: its name.
        config: its configuration, JSON.
        tally: counts refused connections.
    """

    def __init__(self, pool: Pool, plugin: str, config: str, tally: Tally) -> None:
        self._pool = pool
        self._start = msgpack.packb("plugin.StartInstance") + msgpack.packb([{"Name": plugin, "Config": config}])
        self._tally = tally
        self._number = 0

    def start_instance(self) -> Task:
        """Start an instance; return its id."""
        result = yield from self._call(self._start)
        return result["Id"]

    def handle_event(self, instance: int, phase: str, request: int, field: Any) -> Task:
        """Run an event to its end. Return the field that it has set with set_serialize_value, or the given one.

        Args:
            instance: its id.
            phase: access or log.
            request: which of the header sets it has.
            field: set by `access`.
        """
        call = msgpack.packb({"InstanceId": instance, "EventName": phase})
        step = yield from self._call(_METHOD_HEADS["HandleEvent"] + call)
        done = False
        while step["Data"] != "ret":
            method, arguments = step["Data"]["Method"], step["Data"]["Args"]
            name, data = "Step", b""
            if method == "kong.request.get_headers":
                name, data = "StepMultiMap", _HEADER_SETS[request % len(_HEADER_SETS)]
            elif method == "kong.log.serialize":
                data, done = msgpack.packb(log_record(field)), True
            elif method == "kong.log.set_serialize_value":
                field, done = arguments[1], True
            event = (b"\x82" if data else b"\x81") + _EVENT_ID + msgpack.packb(step["EventId"])
            step = yield from self._call(_METHOD_HEADS[name] + event + (_DATA + data if data else b""))
        if not done:
            raise UnpluggedError("the event ended without its last call")
        return field

    def _call(self, method_and_arguments: bytes) -> Task:
        self._number = number = self._number + 1
        try:
            connection = self._pool.take()
        except UnreachableError as error:
            self._tally.refused += 1
            raise UnpluggedError(f"cannot connect: {error}") from None
        try:
            connection.socket.send(b"\x94\x00" + msgpack.packb(number) + method_and_arguments)
        except OSError:
            self._pool.discard(connection)
            raise UnpluggedError("broken pipe") from None
        if connection.state is None:
            connection.state = msgpack.Unpacker(strict_map_key=False, unicode_errors="surrogateescape")
        while True:
            for message in connection.state:
                if message[0] == 1:
                    if message[1] == number:
                        self._pool.give_back(connection)
                        return _result(message)
                    self._pool.discard(connection)
                    raise Answered500Error("unexpected RPC response ID")
            try:
                data = yield connection
            except ReadTimeoutError:
                self._pool.give_back(connection)
                raise UnpluggedError("no data: timeout") from None
            except ResetError:
                data = b""
            if not data:
                self._pool.discard(connection)
                raise UnpluggedError("no data: closed")
            connection.state.feed(data)


def _result(message: Any) -> Any:
    _, _, error, result = message
    if error is not None:
        if not isinstance(error, str):
            raise Answered500Error("an error that is no string")
        if "no plugin instance" in error.lower():
            raise NoInstanceError(error)
        raise UnpluggedError(error)
    if not isinstance(result, dict) or result.get("Data", result.get("Id")) is None:
        raise Answered500Error("an answer without data")
    return result
