"""Percent-encoding undone, with the way back: where in the text as it was written a decoded character stands.

A byte becomes one character (Latin-1): detectors look for ASCII, and positions stay simple.

Source: RFC 3986, section 2.1.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MAX_LAYERS", "Layer", "layers"]

_ESCAPES = re.compile("((?:%[0-9A-Fa-f]{2})+)")
# The URL itself, a URL in its parameter, and once more for good measure: what is encoded deeper is data.
MAX_LAYERS = 3


@dataclass(frozen=True, slots=True)
class Layer:
    """A text with some of its encoding undone.

    Args:
        text: what it says.
        places: for each character, and for the end, its place in the text as written; None if it is that text.
    """

    text: str
    places: Sequence[int] | None = None

    def place(self, index: int) -> int:
        """Return where a character stands in the text as written."""
        return index if self.places is None else self.places[index]

    def index(self, place: int) -> int:
        """Return the first character that stands at a place of the text as written, or behind it."""
        return place if self.places is None else bisect_left(self.places, place)


def layers(text: str) -> Sequence[Layer]:
    """Return a text as it is, then with one encoding after another undone, as long as there is one."""
    if "%" not in text:
        return (Layer(text),)
    found = [Layer(text)]
    while len(found) <= MAX_LAYERS and _ESCAPES.search(found[-1].text):
        found.append(_undone(found[-1]))
    return found


def _undone(layer: Layer) -> Layer:
    pieces: list[str] = []
    places: list[int] = []
    at = 0
    for number, piece in enumerate(_ESCAPES.split(layer.text)):
        if number % 2:
            pieces.append(bytes.fromhex(piece.replace("%", "")).decode("latin-1"))
            places += range(at, at + len(piece), 3)
        else:
            pieces.append(piece)
            places += range(at, at + len(piece))
        at += len(piece)
    places.append(at)
    return Layer("".join(pieces), places if layer.places is None else [layer.places[place] for place in places])
