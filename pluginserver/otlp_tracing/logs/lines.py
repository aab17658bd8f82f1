"""Warnings of this process, kept until the sidecar has them.

Kong writes the output of a plugin server at the level INFO, and its default level is `notice`. So a warning that is
only written to stderr is not seen. Every process therefore keeps its last warnings for the sidecar, which shows those
of all processes (sidecar/telemetry/recent_warnings.py).

Source: kong/runloop/plugin_servers/process.lua, `raw_log(ngx_INFO, …)`; kong.conf.default, `log_level`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

MAX_TEXT = 1000  # characters of a line; a longer one holds a traceback, and its end has the exception
_MAX_NAME = 100
# Lines that wait for a sidecar, per process. Frequent kinds are limited to one in ten seconds (log_limit.py).
_MAX_WAITING = 50
_PACKAGE = "otlp_tracing"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log.

    Args:
        at: seconds since 1970.
        process: its role: `serve`, `worker 0`, `sidecar`.
        level: `WARNING`, `ERROR` or `CRITICAL`.
        logger: its name.
        text: at most MAX_TEXT characters.
    """

    at: float
    process: str
    level: str
    logger: str
    text: str

    def __post_init__(self) -> None:
        if not (len(self.text) <= MAX_TEXT and max(map(len, (self.process, self.level, self.logger))) <= _MAX_NAME):
            raise ValueError("a log line is too long")


class WarningBuffer(logging.Handler):
    """A handler that keeps the last warnings, at most 50.

    Lines of other packages are kept without their text: a library may quote a header or a password in it.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.process = ""
        self._waiting: deque[LogLine] = deque(maxlen=_MAX_WAITING)
        self._pass_on: Callable[[LogLine], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's line, or pass it on."""
        try:
            line = LogLine(
                record.created, self.process, record.levelname[:_MAX_NAME], record.name[:_MAX_NAME], _text(record)
            )
            if self._pass_on is None:
                self._waiting.append(line)
            else:
                self._pass_on(line)
        except Exception:
            self.handleError(record)

    def take(self, most: int = _MAX_WAITING) -> list[LogLine]:
        """Remove and return the oldest lines."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def give_back(self, lines: list[LogLine]) -> None:
        """Keep lines that could not be sent, as the oldest; those without room are dropped."""
        room = _MAX_WAITING - len(self._waiting)
        self._waiting.extendleft(reversed(lines[max(0, len(lines) - room) :]))

    def pass_on_to(self, receive: Callable[[LogLine], None]) -> None:
        """Pass the kept lines on, and from now on every line at once; from any thread."""
        self._pass_on = receive
        for line in self.take():
            receive(line)


def _text(record: logging.LogRecord) -> str:
    if record.name.partition(".")[0] != _PACKAGE:
        return f"a warning of a library, in {record.filename}:{record.lineno}; only the log has its text"
    text = record.getMessage().encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT // 2]} … {text[-MAX_TEXT // 2 + 3 :]}"


WARNINGS = WarningBuffer()
"""This process's."""
