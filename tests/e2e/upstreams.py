"""A small HTTP upstream in a thread: answers by path, keeps the header lines of each request.

`/status/CODE` answers with that code, `/slow` only after a while, a POST with 201, anything else with 200.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from io import BufferedIOBase
from types import TracebackType

from e2e.ports import HOST
from e2e.waiting import wait_for

SLOW_SECONDS = 3.0  # longer than any read timeout that the tests configure


@dataclass(frozen=True)
class SeenRequest:
    """A request as the upstream got it; header names in lower case."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name]

    @property
    def traceparent(self) -> tuple[str, str, str]:
        """The one traceparent's trace id, parent id and flags."""
        (line,) = self.all("traceparent")
        version, trace_id, parent_id, flags = line.split("-")
        assert version == "00"
        return trace_id, parent_id, flags


class RecordingUpstream:
    """The server. Use it with `with`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[SeenRequest] = []
        self._closing = threading.Event()
        self._server = _Server((HOST, 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="upstream", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where it listens, as a URL."""
        return f"http://{HOST}:{self.port}"

    @property
    def requests(self) -> list[SeenRequest]:
        """Every request so far."""
        with self._lock:
            return list(self._seen)

    def request(self, marker: str) -> SeenRequest:
        """Return the one request with the marker in its target; it may be about to arrive."""
        (found,) = wait_for(
            lambda: [request for request in self.requests if marker in request.target],
            5,
            f"a request with {marker} at the upstream",
        )
        return found

    def __enter__(self) -> RecordingUpstream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[socketserver.StreamRequestHandler]:
        upstream = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # the gateway has given up waiting
                    self.wfile.write(upstream._answer(_read(self.rfile)))

        return Handler

    def _answer(self, seen: SeenRequest) -> bytes:
        with self._lock:
            self._seen.append(seen)
        path = seen.target.partition("?")[0]
        if path.startswith("/slow"):
            self._closing.wait(SLOW_SECONDS)
        status = HTTPStatus.CREATED if seen.method == "POST" else HTTPStatus.OK
        if path.startswith("/status/"):
            status = HTTPStatus(int(path.split("/")[2]))
        head = f"HTTP/1.0 {status} {status.phrase}\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n"
        return f"{head}upstream\n".encode()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def _read(stream: BufferedIOBase) -> SeenRequest:
    """Read a request. Its head is read as Latin-1, because any byte may be in it; its body is ignored."""
    request_line, *lines = iter(lambda: stream.readline().decode("latin-1").rstrip("\r\n"), "")
    method, target, _ = request_line.split(" ")
    pairs = (line.partition(":") for line in lines)
    seen = SeenRequest(method, target, [(name.lower(), value.strip(" \t")) for name, _, value in pairs])
    for length in seen.all("content-length"):
        stream.read(int(length))
    return seen
