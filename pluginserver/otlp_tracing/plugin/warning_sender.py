"""Hands the warnings of a process that has no connection to the sidecar over: the supervisor's."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from otlp_tracing.handoff.frames import VERSION, Hello, Warnings, encode
from otlp_tracing.logs.lines import WarningBuffer
from otlp_tracing.unix_sockets import refuse_foreign_peer

_SECONDS = 1.0  # between two attempts


class WarningSender:
    """Sends the kept lines in a connection of their own. Never blocks.

    Args:
        path: the sidecar's socket.
        warnings: the kept lines.
        clock: monotonic seconds.
    """

    def __init__(self, path: Path, warnings: WarningBuffer, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._warnings = warnings
        self._clock = clock
        self._hello = encode(Hello(VERSION, os.urandom(8)))
        self._at = float("-inf")

    def pump(self) -> None:
        """Send the lines, at most once a second; without a sidecar they are kept."""
        now = self._clock()
        if now < self._at + _SECONDS:
            return
        self._at = now
        lines = self._warnings.take()
        if not lines:
            return
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with connection:
            try:
                connection.connect(str(self._path))
                refuse_foreign_peer(connection)
                # Far less than the socket's buffer, which is empty.
                connection.sendall(self._hello + encode(Warnings(lines)))
            except OSError:
                self._warnings.give_back(lines)
