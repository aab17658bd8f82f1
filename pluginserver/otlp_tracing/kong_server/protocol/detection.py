"""A connection of a protocol that is not known yet: the first bytes tell.

Kong learns the protocol from `dump`, the server detects it in every connection. So the two cannot disagree, and a
reload that changes the protocol works while Kong's old workers still speak the other one.

A MessagePack request begins with 94 00 and its number, which is never 0. A ProtoBuf call begins with its length, 32
bits little-endian, and is shorter than 64 KiB except for a larger configuration. Such a call would have to begin with
94 00 as well to be mistaken.
"""

from __future__ import annotations

from collections.abc import Callable

from otlp_tracing.kong_server.protocol.session import Dialogue

_ENOUGH = 4


class OpeningDialogue:
    """Becomes the dialogue of the protocol that Kong speaks.

    Args:
        msgpack: makes one that speaks MessagePack.
        protobuf: makes one that speaks ProtoBuf.
    """

    def __init__(self, msgpack: Callable[[], Dialogue], protobuf: Callable[[], Dialogue]) -> None:
        self._msgpack = msgpack
        self._protobuf = protobuf
        self._dialogue: Dialogue | None = None
        self._first = b""
        self._retired = False

    @property
    def idle(self) -> bool:
        """No event is under way here."""
        return self._dialogue is None or self._dialogue.idle

    @property
    def overdue(self) -> bool:
        """An event has waited here for too long."""
        return self._dialogue is not None and self._dialogue.overdue

    def receive(self, data: bytes, *, settle: bool = False) -> bytes:
        """Find the protocol, then leave everything to its dialogue; see session.Dialogue."""
        if self._dialogue is None:
            data = self._first + data
            if len(data) < _ENOUGH:
                self._first = data
                return b""
            self._first = b""
            is_msgpack = data[:2] == b"\x94\x00" and data[2:4] != b"\x00\x00"
            self._dialogue = self._msgpack() if is_msgpack else self._protobuf()
            if self._retired:
                self._dialogue.retire()
        return self._dialogue.receive(data, settle=settle)

    def retire(self) -> None:
        """Hang up on the next event."""
        self._retired = True
        if self._dialogue is not None:
            self._dialogue.retire()

    def close(self) -> None:
        """The connection has ended."""
        if self._dialogue is not None:
            self._dialogue.close()
