"""Header values and the ids in them, as most formats have them: one line, hexadecimal or decimal digits.

Bounded before anything is matched; whatever the text, an id or None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

TRACE_ID = 16
"""Bytes of a trace id."""

SPAN_ID = 8
"""Bytes of a span id, and of a trace id in the formats from before 128 bits."""

_LONGEST = 512  # no format's sound value comes near
_HEX = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,20}", re.ASCII)


def single_value(headers: Mapping[str, Sequence[str]], name: str) -> str | None:
    """Return a header's value; None if it is absent, too long, or present twice (then they contradict)."""
    values = headers.get(name)
    if not values or len(values) != 1 or len(values[0]) > _LONGEST:
        return None
    return values[0].strip(" \t")


def from_hex(text: str | None, size: int) -> bytes | None:
    """Read up to `2 * size` digits of either case, padded on the left; None for zero and for anything else."""
    if text is None or len(text) > 2 * size or not _HEX.fullmatch(text) or not text.strip("0"):
        return None
    return bytes.fromhex(text.rjust(2 * size, "0"))


def from_decimal(text: str | None) -> bytes | None:
    """Read an unsigned number of 64 bits; None for zero and for anything else."""
    if text is None or not _DECIMAL.fullmatch(text):
        return None
    number = int(text)
    return number.to_bytes(SPAN_ID, "big") if 0 < number < 1 << 64 else None
