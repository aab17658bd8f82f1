"""A TCP relay between the sidecar and a receiver: the network and its faults."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from e2e.ports import HOST, free_port
from faults.delivery.background import Background

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close() sends a RST, socket(7)


class Relay(Background):
    """Relays connections to a port on loopback.

    Args:
        target_port: where to.
        host: the address of its own, any of 127.0.0.0/8.
        port: of its own; a free one unless given.
    """

    def __init__(self, target_port: int, host: str = HOST, port: int = 0) -> None:
        super().__init__()
        self.target_port = target_port
        self.port = port or free_port()
        self.host = host
        self.accepted = 0
        self._server: asyncio.Server | None = None
        self._flows: dict[asyncio.Task[None], asyncio.Event] = {}
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def endpoint(self) -> str:
        """Where it listens, as an OTLP endpoint."""
        return f"http://{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._flows)

    def freeze(self) -> None:
        """Make existing connections silent, as when a firewall has forgotten them. New connections work."""
        self.call(self._freeze())

    def reset(self) -> None:
        """Reset every connection."""
        self.call(self._reset())

    def refuse(self) -> None:
        """Stop listening, and reset open connections."""
        self.call(self._refuse())

    def listen(self) -> None:
        """Listen again after `refuse`."""
        self.call(self.opened())

    async def opened(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)

    async def closing(self) -> None:
        await self._refuse()

    async def _freeze(self) -> None:
        for gate in self._flows.values():
            gate.clear()

    async def _reset(self) -> None:
        for writer in self._writers:
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        if self._server is None:  # accepted just before `refuse`, which could not see it yet
            writer.transport.abort()
            return
        gate = self._flows[task] = asyncio.Event()
        gate.set()
        self._writers.add(writer)
        target: asyncio.StreamWriter | None = None
        try:
            back, target = await asyncio.open_connection(HOST, self.target_port)
            self._writers.add(target)
            copies = [asyncio.create_task(_copy(*pair, gate)) for pair in ((reader, target), (back, writer))]
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            for copy in copies:
                copy.cancel()
        except OSError:
            pass
        finally:
            del self._flows[task]
            for one in filter(None, (writer, target)):
                self._writers.discard(one)
                one.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            await gate.wait()
            writer.write(data)
            await writer.drain()
