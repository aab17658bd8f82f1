"""Log lines for what can happen with every request: one in ten seconds, with how many were left out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

__all__ = ["LimitedLog"]

INTERVAL_SECONDS = 10.0  # Vector's specification of instrumentation has the same


class LimitedLog:
    """One kind of occurrence, logged at most every INTERVAL_SECONDS.

    Args:
        logger: where to.
        clock: monotonic seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._next_at = float("-inf")
        self._left_out = 0

    def info(self, sentence: str, *arguments: object) -> None:
        """Log the sentence, or count it until one is due again."""
        self._say(logging.INFO, sentence, *arguments)

    def warning(self, sentence: str, *arguments: object, exc_info: bool = False) -> None:
        """Log the sentence, or count it until one is due again."""
        self._say(logging.WARNING, sentence, *arguments, exc_info=exc_info)

    def error(self, sentence: str, *arguments: object) -> None:
        """Log the sentence, or count it until one is due again."""
        self._say(logging.ERROR, sentence, *arguments)

    def _say(self, level: int, sentence: str, *arguments: object, exc_info: bool = False) -> None:
        now = self._clock()
        if now < self._next_at:
            self._left_out += 1
            return
        self._next_at = now + INTERVAL_SECONDS
        if self._left_out:
            sentence += f" (and {self._left_out} more like it before)"
            self._left_out = 0
        self._logger.log(level, sentence, *arguments, exc_info=exc_info)
