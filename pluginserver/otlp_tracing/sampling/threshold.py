"""Consistent probability sampling: one threshold, compared with a trace's own randomness.

Every node that follows this keeps the same traces at the same rate, and all that a lower rate keeps at
a higher one. Pure.

Source: OpenTelemetry specification, trace/tracestate-probability-sampling.md and tracestate-handling.md.
"""

from __future__ import annotations

import math
import re

_DIGITS = 14
_BITS = 4 * _DIGITS
NEVER = 1 << _BITS
"""The threshold that no randomness reaches."""

_PRECISION = 4  # hexadecimal digits that count; the specification's default
_ENCODED = re.compile(r"[0-9a-f]{1,14}", re.ASCII)
_RANDOMNESS = re.compile(r"[0-9a-f]{14}", re.ASCII)


def from_rate(rate: float) -> int:
    """Turn a rate, 0 to 1, into a threshold, 0 to 2^56: a trace is kept if its randomness reaches it.

    The threshold is rounded to four digits after any leading 0s or fs, so that the decision is the one that the `th`
    in the tracestate states.
    """
    if rate <= 0:
        return NEVER
    if rate >= 1:
        return 0
    digits = min(_DIGITS, max(_PRECISION + _leading_digits(rate), _PRECISION + _leading_digits(1 - rate)))
    unit = 1 << (_BITS - 4 * digits)
    exact = NEVER - round(rate * NEVER)
    return (exact + unit // 2) // unit * unit


def probability(threshold: int) -> float:
    """Return the share of traces that a threshold keeps, 0 to 1."""
    return 1 - threshold / NEVER


def _leading_digits(share: float) -> int:
    return -math.frexp(share)[1] // 4 if share else 0


def encode(threshold: int) -> str:
    """Write a threshold below NEVER as `th` has it: 14 digits, trailing zeros cut, at least one digit."""
    return f"{threshold:0{_DIGITS}x}".rstrip("0") or "0"


def decode(text: str) -> int | None:
    """Read a `th` value; None if it is malformed."""
    return int(text.ljust(_DIGITS, "0"), 16) if _ENCODED.fullmatch(text) else None


def randomness(trace_id: bytes, explicit: str | None) -> int:
    """Return a trace's randomness, 56 bits.

    Args:
        trace_id: 16 bytes; the last 7 count.
        explicit: the tracestate's `rv`, which overrides the id; ignored if it is malformed.
    """
    if explicit is not None and _RANDOMNESS.fullmatch(explicit):
        return int(explicit, 16)
    return int.from_bytes(trace_id[-7:], "big")
