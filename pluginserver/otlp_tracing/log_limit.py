"""Log lines for events that can happen with every request: one in ten seconds, with the number of omitted ones."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable

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
        """Log the sentence, or count it until a line is due again.

        Args:
            sentence: with places for the arguments.
            arguments: of the sentence.
            exc_info: add the kind of the handled exception and where it was raised; not its message, which can quote a
                request.
        """
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
        kind, _, place = sys.exc_info() if exc_info else (None, None, None)
        if kind is not None:
            sentence += "\n%s%s"
            arguments = (*arguments, "".join(traceback.format_tb(place)), kind.__qualname__)
        self._logger.log(level, sentence, *arguments)
