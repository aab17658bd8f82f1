"""Wait for other processes without a blind sleep: ask until a condition holds, or report the last answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_INTERVAL_SECONDS = 0.02


class WaitedInVain(AssertionError):
    """The condition did not come to hold. The message has the condition and the last answer."""


def wait_for(answer: Callable[[], T], seconds: float, condition: str) -> T:
    """Ask until the answer is true, and return it.

    Args:
        answer: asked again and again; must not block for long.
        seconds: how long at the most.
        condition: in words, for the message.

    Raises:
        WaitedInVain: it did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = answer()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise WaitedInVain(f"not within {seconds:g} s: {condition}; the last answer was {seen!r}")
        time.sleep(_INTERVAL_SECONDS)
