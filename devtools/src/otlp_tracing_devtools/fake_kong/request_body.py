"""A request's body: read once, kept if it may be needed again.

With Kong's `request_buffering`, on by default, the whole body is there before the upstream is asked, so it can be sent
again; without it the body streams, and is sent once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from otlp_tracing.errors import TracingError
from otlp_tracing_devtools.fake_kong.client_side import ClientRequest

_MAX_BUFFERED_BYTES = 64 << 20  # Kong has no limit and a file; here it is memory, and a demo's bodies are small


class BodyTooLargeError(TracingError):
    """A buffered body is over 64 MiB."""


class RequestBody:
    """The body of one request."""

    def __init__(self, request: ClientRequest) -> None:
        self._request = request
        self._buffered: bytes | None = None
        self.present = request.has_body

    @property
    def length(self) -> int | None:
        """How many bytes it has; None while it is not buffered."""
        return len(self._buffered) if self._buffered is not None else None

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent a second time."""
        return not self.present or self._buffered is not None

    async def buffer(self) -> bytes:
        """Read it all.

        Raises:
            BodyTooLargeError: it has more than 64 MiB.
            MessageError: it is cut off.
        """
        if self._buffered is None:
            parts, size = [], 0
            async for data in self._request.body():
                parts.append(data)
                size += len(data)
                if size > _MAX_BUFFERED_BYTES:
                    raise BodyTooLargeError(f"the body has more than {_MAX_BUFFERED_BYTES} bytes")
            self._buffered = b"".join(parts)
        return self._buffered

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give it piece by piece, buffered or as it comes."""
        if self._buffered is not None:
            yield self._buffered
            return
        async for data in self._request.body():
            yield data
