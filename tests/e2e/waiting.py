"""Wait for what other processes do, without a sleep for luck: ask until it holds, or say what was seen last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["WaitedInVain", "wait_for"]

T = TypeVar("T")

_INTERVAL_SECONDS = 0.02


class WaitedInVain(AssertionError):
    """It did not come to hold; the message says what was waited for and what was seen last."""


def wait_for(look: Callable[[], T], seconds: float, what: str) -> T:
    """Ask until the answer is true, and return it.

    Args:
        look: asked again and again; must not block for long.
        seconds: how long at the most.
        what: what should come to hold, for the message.

    Raises:
        WaitedInVain: it did not.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise WaitedInVain(f"not within {seconds:g} s: {what}; the last answer was {seen!r}")
        time.sleep(_INTERVAL_SECONDS)
