"""A plugin server with scripted answers, for tests of the stand-in Kong.

Speaks MessagePack on a unix socket. It keeps every call with its exact bytes. Knows no plugin API.

Source: the dialogue recorded between Kong 3.9.1 and kong-pdk 0.36.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import msgpack

from otlp_tracing.errors import TracingError

_READ_BYTES = 64 * 1024


@dataclass(frozen=True)
class ReceivedCall:
    """One call: the number of its connection, its exact bytes, and their content; strings are bytes."""

    connection: int
    raw: bytes
    message_id: int
    method: str
    argument: Any


Answer = Callable[[ReceivedCall], "bytes | None"]
"""Gives the bytes to send back; None sends nothing, and an empty string closes the connection."""


def result_answer(message_id: int, result: Any) -> bytes:
    """Write the answer of a call that succeeded."""
    return _pack([1, message_id, None, result])


def _pack(message: Any) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed


class ScriptedPlugin:
    """The script of one plugin: which PDK calls it makes in each phase.

    Pass it as a server's `answer`. `results` has the Step that followed each call of a phase: method and argument.
    """

    def __init__(self, phases: Mapping[str, Sequence[tuple[str, Any]]]) -> None:
        self._phases = phases
        self._events: dict[int, tuple[str, int]] = {}
        self.results: dict[str, list[tuple[str, Any]]] = {phase: [] for phase in phases}
        self.configurations: list[bytes] = []

    def __call__(self, call: ReceivedCall) -> bytes:
        """Answer one call."""
        if call.method == "plugin.StartInstance":
            self.configurations.append(call.argument[b"Config"])
            return result_answer(call.message_id, {"Id": len(self.configurations)})
        if call.method == "plugin.HandleEvent":
            event_id = len(self._events)
            self._events[event_id] = (call.argument[b"EventName"].decode(), 0)
        elif call.method.startswith("plugin.Step"):
            event_id = call.argument[b"EventId"]
            phase, position = self._events[event_id]
            self.results[phase].append((call.method, call.argument.get(b"Data")))
            self._events[event_id] = (phase, position + 1)
        else:
            return result_answer(call.message_id, None)
        return self._next(call.message_id, event_id)

    def _next(self, message_id: int, event_id: int) -> bytes:
        phase, position = self._events[event_id]
        calls = self._phases.get(phase, ())
        if position == len(calls):
            return result_answer(message_id, {"Data": "ret", "EventId": event_id})
        method, arguments = calls[position]
        data = {"Method": method, "Args": arguments}
        return result_answer(message_id, {"Data": data, "EventId": event_id})


class ScriptedPluginServer:
    """The server; use it with `async with`."""

    def __init__(self, socket: Path, answer: Answer) -> None:
        self.socket = socket
        self.answer = answer
        self.received: list[ReceivedCall] = []
        self._changed = asyncio.Condition()
        self._accepted = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> ScriptedPluginServer:
        self._server = await asyncio.start_unix_server(self._accept, str(self.socket))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def wait_for(self, predicate: Callable[[ScriptedPluginServer], bool], timeout_s: float = 10.0) -> None:
        """Wait until `predicate` holds; it is asked after every call and every closed connection.

        Raises:
            TracingError: it does not hold within `timeout_s`.
        """
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: predicate(self)), timeout_s)
            except asyncio.TimeoutError:
                methods = [call.method for call in self.received]
                raise TracingError(f"not within {timeout_s} s; received {methods}") from None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: asyncio of Python 3.11 and older complains about a cancelled one.
        self._accepted += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer, self._accepted))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        try:
            with contextlib.suppress(OSError):
                await self._answer_all(reader, writer, number)
        finally:
            writer.close()
            async with self._changed:
                self._changed.notify_all()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
        pending, consumed = b"", 0
        while data := await reader.read(_READ_BYTES):
            unpacker.feed(data)
            pending += data
            for message in unpacker:
                length = unpacker.tell() - consumed
                raw, pending, consumed = pending[:length], pending[length:], unpacker.tell()
                answer = await self._answered(ReceivedCall(number, raw, message[1], message[2].decode(), message[3][0]))
                if answer == b"":
                    return
                writer.write(answer or b"")
                await writer.drain()

    async def _answered(self, call: ReceivedCall) -> bytes | None:
        answer = self.answer(call)
        async with self._changed:
            self.received.append(call)
            self._changed.notify_all()
        return answer
