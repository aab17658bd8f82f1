"""The protocol of a connection: its first bytes tell.

Kong learns the protocol from `dump`, the server detects it in every connection. So the two cannot disagree, and a
reload that changes the protocol works while Kong's old workers still speak the other one.

A MessagePack request begins with 94 00 and its number, which is never 0. A ProtoBuf call begins with its length, 32
bits little-endian, and is shorter than 64 KiB except for a larger configuration. Such a call would have to begin with
94 00 as well to be mistaken.
"""

from __future__ import annotations

ENOUGH = 4
"""The bytes that tell the protocol."""


def speaks_msgpack(first: bytes) -> bool:
    """Tell whether Kong speaks MessagePack on a connection, and not ProtoBuf.

    Args:
        first: the first bytes of the connection, at least ENOUGH.
    """
    return first[:2] == b"\x94\x00" and first[2:ENOUGH] != b"\x00\x00"
