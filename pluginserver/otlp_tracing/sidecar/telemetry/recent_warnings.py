"""The last warnings of all processes of a gateway, for `status`, the page and /log."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from otlp_tracing.logs.lines import LogLine

MAX_LINES = 200  # of a thousand characters at most: 200 kB
_MORE = re.compile(r" \(and \d+ more like it before\)")  # log_limit.py appends it


@dataclass(slots=True)
class _Repeated:
    line: LogLine
    count: int


class RecentWarnings:
    """A list of bounded length, the oldest first. A line that comes again is counted and becomes the newest.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lines: OrderedDict[tuple[str, str, str], _Repeated] = OrderedDict()
        self._omitted = 0
        self._lock = threading.Lock()  # the threads of the spool log, too

    def add(self, line: LogLine) -> None:
        """Add a line."""
        key = (line.process, line.logger, _MORE.sub("", line.text))
        with self._lock:
            known = self._lines.setdefault(key, _Repeated(line, 0))
            known.line, known.count = line, known.count + 1
            self._lines.move_to_end(key)
            if len(self._lines) > MAX_LINES:
                self._lines.popitem(last=False)
                self._omitted += 1

    def last(self, most: int = MAX_LINES) -> list[dict[str, Any]]:
        """Return the newest lines, the oldest of them first: time, age in seconds, process, level, logger, text, count.

        Args:
            most: at least 1.
        """
        with self._lock:
            lines = list(self._lines.values())[-most:]
        now = self._clock()
        return [
            {
                "at": datetime.fromtimestamp(one.line.at, timezone.utc).isoformat(timespec="milliseconds"),
                "age_s": max(0.0, round(now - one.line.at, 1)),
                "process": one.line.process,
                "level": one.line.level,
                "logger": one.line.logger,
                "text": one.line.text,
                "count": one.count,
            }
            for one in lines
        ]

    def as_json(self) -> dict[str, Any]:
        """Return all lines, and how many older ones were dropped because there was no room."""
        return {"lines": self.last(), "omitted": self._omitted}
