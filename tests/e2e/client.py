"""A client that sends exactly the bytes it is given, one connection a request."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_SECONDS = 20.0

HeaderLines = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True)
class Answer:
    """An answer. Header names are in lower case; of two with one name it has the last."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def text(self) -> str:
        """Return the body as text, put together if it came in chunks."""
        body = _unchunk(self.body) if self.headers.get("transfer-encoding") == "chunked" else self.body
        return body.decode()


@dataclass(frozen=True)
class Caller:
    """A caller with a trace of its own."""

    trace_id: str
    span_id: str

    @classmethod
    def new(cls) -> Caller:
        """Draw the ids."""
        return cls(os.urandom(16).hex(), os.urandom(8).hex())

    def header(self, flags: str = "01") -> tuple[str, str]:
        """Return the traceparent line."""
        return "traceparent", f"00-{self.trace_id}-{self.span_id}-{flags}"


def fetch(
    url: str,
    target: str | bytes,
    headers: HeaderLines = (),
    method: str = "GET",
    *,
    body: bytes = b"",
    patience_s: float = _SECONDS,
) -> Answer:
    """Send a request and read the answer to its end; the Host is that of `url`, unless `headers` have one.

    Raises:
        TimeoutError: nothing came for `patience_s`; the connection is closed.
    """
    host, port = urlsplit(url).hostname, urlsplit(url).port
    assert host
    assert port
    own_host = [] if any(name == "Host" for name, _ in headers) else [("Host", f"{host}:{port}")]
    lines = [*own_host, *headers, ("Connection", "close")]
    lines += [("Content-Length", str(len(body)))] if body else []
    with socket.create_connection((host, port), patience_s) as connection:
        connection.sendall(_head(method, target, lines) + body)
        with connection.makefile("rb") as answer:
            return _parse(answer.read())


def _head(method: str, target: str | bytes, headers: HeaderLines) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (method.encode(), _bytes(target))]
    lines += [b"%s: %s" % (name.encode(), _bytes(value)) for name, value in headers]
    return b"\r\n".join([*lines, b"", b""])


def _parse(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    if status_line.split()[1] == "100":  # the answer is still to come
        return _parse(body)
    pairs = (line.partition(":") for line in lines)
    return Answer(int(status_line.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, body)


def _unchunk(body: bytes) -> bytes:
    pieces = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:  # trailers may follow
            break
        pieces.append(body[:length])
        body = body[length + 2 :]
    return b"".join(pieces)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
