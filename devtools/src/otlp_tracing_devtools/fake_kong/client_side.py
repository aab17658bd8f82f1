"""A handler's view of a client, in any HTTP version: a request and a way to answer.

Types only, and the phrase of a status code. `http1_connection` and `http2_connection` fill them.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from otlp_tracing_devtools.fake_kong.headers import Headers

KEEP_ALIVE_S = 60.0  # how long a client may stay idle; nginx keepalive_timeout, Kong's default


def reason_of(status: int) -> str:
    """Give a status code's usual phrase; empty for a code without one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


@dataclass(frozen=True)
class ClientEnd:
    """A client's connection; `gone` is set when the client closed its side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    gone: asyncio.Event

    @property
    def peer(self) -> tuple[str, int]:
        """The client's address and port."""
        ip, port = self.writer.get_extra_info("peername")[:2]
        return ip, port

    @property
    def server_port(self) -> int:
        """The port it connected to."""
        port: int = self.writer.get_extra_info("sockname")[1]
        return port

    @property
    def tls(self) -> ssl.SSLObject | None:
        """How the connection is encrypted; None in cleartext."""
        tls: ssl.SSLObject | None = self.writer.get_extra_info("ssl_object")
        return tls


class ClientRequest(Protocol):
    """A request as it came in; the body is read at most once.

    `target` is the request target as sent, `received_bytes` the bytes of the request on the wire so far. `gone` is set
    when the client gave the request up. `refusal` is nginx's status for a request that it does not process, or 0.
    """

    method: str
    target: str
    http_version: float
    headers: Headers
    received_bytes: int
    refusal: int
    gone: asyncio.Event
    end: ClientEnd

    @property
    def has_body(self) -> bool:
        """Whether a body was announced."""

    def body(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece.

        Raises:
            MessageError: it is cut off or wrongly framed.
        """


class Responder(Protocol):
    """The answer to one request: `start`, any number of `write`, `finish`.

    They raise OSError when the client is gone. `sent_bytes` are the bytes of the answer on the wire so far.
    """

    sent_bytes: int

    async def start(self, status: int, reason: str, headers: Headers) -> None:
        """Send the head. Header lines for the framing of the HTTP version are added here."""

    async def write(self, data: bytes) -> None:
        """Send a piece of the body."""

    async def finish(self, trailers: Headers) -> None:
        """End the body. HTTP/1.1 has no room for trailers here: they are gRPC's, and gRPC needs HTTP/2."""

    def abandon(self) -> None:
        """Break the answer off, so that the client sees it is not whole."""

    def tunnel(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Give the bare connection after a 101; it is not used for HTTP again."""


Handler = Callable[[ClientRequest, Responder], Awaitable[None]]
