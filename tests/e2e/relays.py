"""A TCP relay that keeps the bytes of a client: the wire format, where a server's library does not show it."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

from e2e.ports import HOST

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA = 0
_PADDED = 0x08


class RecordingRelay:
    """Relays one connection after another to a port on loopback. Use it with `with`."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._sent = bytearray()
        self._listener = socket.create_server((HOST, 0))
        self._thread = threading.Thread(target=self._serve, name="relay", daemon=True)
        self._open: list[socket.socket] = [self._listener]

    @property
    def endpoint(self) -> str:
        """Where it listens, as an OTLP endpoint."""
        return f"http://{HOST}:{self._listener.getsockname()[1]}"

    @property
    def sent(self) -> bytes:
        """The bytes that clients have sent so far."""
        return bytes(self._sent)

    def __enter__(self) -> RecordingRelay:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for opened in self._open:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()
        self._thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((HOST, self._target_port))
                self._open += [client, server]
                back = threading.Thread(target=_copy, args=(server, client, None), daemon=True)
                back.start()
                _copy(client, server, self._sent)
                back.join()


def _copy(source: socket.socket, target: socket.socket, record: bytearray | None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if record is not None:
                record += data
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def grpc_messages(sent: bytes) -> list[tuple[bool, bytes]]:
    """Find the gRPC messages in an HTTP/2 client's bytes of one connection, one unary call after another.

    Returns:
        For each call whether its message says that it is compressed, and the message's bytes.

    Source: RFC 9113, section 4.1; grpc, doc/PROTOCOL-HTTP2.md (Length-Prefixed-Message).
    """
    assert sent.startswith(_PREFACE)
    streams: dict[int, bytes] = {}
    position = len(_PREFACE)
    while position + 9 <= len(sent):
        length, kind, flags = (
            int.from_bytes(sent[position : position + 3], "big"),
            sent[position + 3],
            sent[position + 4],
        )
        stream = int.from_bytes(sent[position + 5 : position + 9], "big")
        payload = sent[position + 9 : position + 9 + length]
        if kind == _DATA:
            assert not flags & _PADDED
            streams[stream] = streams.get(stream, b"") + payload
        position += 9 + length
    return [(data[0] == 1, data[5:]) for data in streams.values() if len(data) >= 5]
