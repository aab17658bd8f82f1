"""Decodes escapes in layers and maps each decoded character to its offset in the original text.

Escapes are percent-encoding, the backslashes of JSON strings and the references of XML. A byte becomes one character
(Latin-1): detectors search for ASCII, and offsets stay simple.

Source: RFC 3986, section 2.1; RFC 8259, section 7; XML 1.0, sections 4.1 and 4.6.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

_PERCENT = re.compile("((?:%[0-9A-Fa-f]{2})+)")
_ESCAPES = re.compile(
    r"((?:%[0-9A-Fa-f]{2})+|\\u00[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2}|\\[\"'\\/nrt]"
    r"|&(?:quot|apos|lt|gt|amp|#[0-9]{2,3}|#x[0-9A-Fa-f]{2});)"
)
TRIGGER = r"\\[\"'/]|\\u00[0-9A-Fa-f]|\\x[0-9A-Fa-f]|&(?:quot|apos|lt|#[0-9]{2,3}|#x[0-9A-Fa-f]{2});"
"""A pattern for RE2 that matches in each text with escapes other than percent-encoding that can hide a secret."""
# In a form a plus is a space, `{"token":+"x"}`, and `%2B` a plus. A text is one if quotes, brackets or ends of lines
# are encoded beside a plus. Before a number or in an address it stays: tel:+49, a+b@example.com.
_FORM = re.compile("%(?:2[27]|3[CE]|0[AD]|[57][BD])", re.IGNORECASE)
_PLUS = "\ue000"  # one that was not encoded; no escape gives this character
_FORM_SPACE = re.compile(rf"(?<![:=,\"]){_PLUS}(?![\w.\-]*@)|{_PLUS}(?![0-9]|[\w.\-]*@)")
# A URL, a URL in its parameter, and one in the parameter of that; deeper encodings are data.
MAX_LAYERS = 3
_NAMED = {"n": "\n", "r": "\r", "t": "\t", "&quot;": '"', "&apos;": "'", "&lt;": "<", "&gt;": ">", "&amp;": "&"}


@dataclass(frozen=True, slots=True)
class Layer:
    """A text with some of its escapes decoded.

    Args:
        text: decoded.
        offsets: for each character, and for the end, its offset in the original text; None if this is the original.
        escapes: number of escapes that were decoded for it, a run of percent-encoding as one.
    """

    text: str
    offsets: Sequence[int] | None = None
    escapes: int = 0

    def offset(self, index: int) -> int:
        """Return the offset of a character in the original text."""
        return index if self.offsets is None else self.offsets[index]

    def index(self, offset: int) -> int:
        """Return the first character at or behind an offset of the original text."""
        return offset if self.offsets is None else bisect_left(self.offsets, offset)


def layers(text: str, *, percent_only: bool = False) -> Sequence[Layer]:
    """Return the text, then the text with one layer of escapes after another decoded, at most MAX_LAYERS."""
    if "%" not in text and (percent_only or ("\\" not in text and "&" not in text)):
        return (Layer(text),)
    escapes = _PERCENT if percent_only else _ESCAPES
    found = [Layer(text)]
    while len(found) <= MAX_LAYERS and escapes.search(found[-1].text):
        found.append(_decoded(found[-1], escapes))
    return found


def _decoded(layer: Layer, escapes: re.Pattern[str]) -> Layer:
    pieces: list[str] = []
    offsets: list[int] = []
    at = 0
    split = escapes.split(layer.text)
    is_form = "+" in layer.text and _FORM.search(layer.text)
    for number, piece in enumerate(split):
        if number % 2 == 0:
            pieces.append(piece.replace("+", _PLUS) if is_form else piece)
            offsets += range(at, at + len(piece))
        elif piece[0] == "%":
            pieces.append(bytes.fromhex(piece.replace("%", "")).decode("latin-1"))
            offsets += range(at, at + len(piece), 3)
        else:
            pieces.append(_character(piece))
            offsets.append(at)
        at += len(piece)
    offsets.append(at)
    if layer.offsets is not None:
        offsets = [layer.offsets[offset] for offset in offsets]
    text = "".join(pieces)
    if is_form:
        text = _FORM_SPACE.sub(" ", text).replace(_PLUS, "+")
    return Layer(text, offsets, len(split) // 2)


def _character(escape: str) -> str:
    if escape[0] == "\\":
        return chr(int(escape[2:], 16)) if escape[1] in "ux" else _NAMED.get(escape[1], escape[1])
    if escape[1] == "#":
        return chr(int(escape[3:-1], 16) if escape[2] == "x" else int(escape[2:-1]))
    return _NAMED[escape]
