"""Decodes percent-encoding and maps each decoded character to its offset in the original text.

A byte becomes one character (Latin-1): detectors search for ASCII, and offsets stay simple.

Source: RFC 3986, section 2.1.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

_ESCAPES = re.compile("((?:%[0-9A-Fa-f]{2})+)")
# A URL, a URL in its parameter, and one in the parameter of that; deeper encodings are data.
MAX_LAYERS = 3


@dataclass(frozen=True, slots=True)
class Layer:
    """A text with some of its encodings decoded.

    Args:
        text: decoded.
        offsets: for each character, and for the end, its offset in the original text; None if this is the original.
    """

    text: str
    offsets: Sequence[int] | None = None

    def offset(self, index: int) -> int:
        """Return the offset of a character in the original text."""
        return index if self.offsets is None else self.offsets[index]

    def index(self, offset: int) -> int:
        """Return the first character at or behind an offset of the original text."""
        return offset if self.offsets is None else bisect_left(self.offsets, offset)


def layers(text: str) -> Sequence[Layer]:
    """Return the text, then the text with one encoding after another decoded, at most MAX_LAYERS."""
    if "%" not in text:
        return (Layer(text),)
    found = [Layer(text)]
    while len(found) <= MAX_LAYERS and _ESCAPES.search(found[-1].text):
        found.append(_decoded(found[-1]))
    return found


def _decoded(layer: Layer) -> Layer:
    pieces: list[str] = []
    offsets: list[int] = []
    at = 0
    for number, piece in enumerate(_ESCAPES.split(layer.text)):
        if number % 2:
            pieces.append(bytes.fromhex(piece.replace("%", "")).decode("latin-1"))
            offsets += range(at, at + len(piece), 3)
        else:
            pieces.append(piece)
            offsets += range(at, at + len(piece))
        at += len(piece)
    offsets.append(at)
    return Layer("".join(pieces), offsets if layer.offsets is None else [layer.offsets[offset] for offset in offsets])
