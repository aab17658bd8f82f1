"""Log lines for events that can happen with every request: one in ten seconds, with the number of omitted ones."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType

INTERVAL_SECONDS = 10.0  # Vector's specification of instrumentation has the same


class LimitedLog:
    """One kind of occurrence, logged at most every INTERVAL_SECONDS.

    Args:
        logger: where to.
        clock: monotonic seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._interval = _Interval(clock)

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
        left_out = self._interval.next()
        if left_out is None:
            return
        kind, _, place = sys.exc_info() if exc_info else (None, None, None)
        self._logger.log(level, f"{sentence}%s", *arguments, left_out + _kind_and_place(kind, place))


class LimitedLibrary(logging.Filter):
    """Warnings of a library, of whatever kind: one every INTERVAL_SECONDS. Add it to the library's logger.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval = _Interval(clock)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is logged; an exception's message, which can quote a request, is removed from it."""
        if record.levelno < logging.WARNING:
            return True
        left_out = self._interval.next()
        if left_out is None:
            return False
        kind, _, place = record.exc_info or (None, None, None)
        record.msg, record.args = record.getMessage() + left_out + _kind_and_place(kind, place), ()
        record.exc_info = None
        return True


class _Interval:
    """Lets one occurrence in INTERVAL_SECONDS through, and counts the others."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next_at = float("-inf")
        self._left_out = 0

    def next(self) -> str | None:
        """Return the words for the number of occurrences that were left out before this one; None to leave it out."""
        now = self._clock()
        if now < self._next_at:
            self._left_out += 1
            return None
        self._next_at = now + INTERVAL_SECONDS
        number, self._left_out = self._left_out, 0
        return f" (and {number} more like it before)" if number else ""


def _kind_and_place(kind: type[BaseException] | None, place: TracebackType | None) -> str:
    return "" if kind is None else f"\n{''.join(traceback.format_tb(place))}{kind.__qualname__}"
