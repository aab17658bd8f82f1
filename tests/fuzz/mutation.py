"""Inputs that are almost sound: recordings with bytes changed, cut, repeated, swapped or joined."""

from __future__ import annotations

import random
from collections.abc import Sequence

# Values of length fields, tags and types: the ends of every range.
_TELLING = (0x00, 0x01, 0x7F, 0x80, 0x90, 0x9F, 0xA0, 0xC0, 0xC1, 0xC6, 0xC9, 0xD9, 0xDB, 0xDD, 0xDF, 0xE0, 0xFF)


def mutate(source: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return an input, most of them a seed with one to eight changes."""
    data = bytearray(source.choice(seeds))
    if source.random() < 0.02:
        return source.randbytes(source.randrange(64))
    for _ in range(source.randrange(1, 9)):
        if not data:
            break
        _change(source, data, seeds)
    return bytes(data)


def _change(source: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = source.randrange(len(data))
    match source.randrange(7):
        case 0:
            data[at] = source.choice(_TELLING)
        case 1:
            data[at] ^= 1 << source.randrange(8)
        case 2:
            del data[at:]
        case 3:
            del data[at : at + source.randrange(1, 9)]
        case 4:
            data[at:at] = source.randbytes(source.randrange(1, 9))
        case 5:
            data[at:at] = data[at : at + source.randrange(1, 65)] * source.randrange(1, 5)
        case 6:
            other = source.choice(seeds)
            data[at:] = other[source.randrange(len(other) or 1) :]


def split(source: random.Random, data: bytes) -> list[bytes]:
    """Cut an input into the pieces that a socket might bring it in."""
    if source.random() < 0.7 or len(data) < 2:
        return [data]
    cut = source.randrange(1, len(data))
    return [data[:cut], data[cut:]]
