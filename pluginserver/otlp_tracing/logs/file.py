"""The log as a file: of bounded size, or the standard error of the container.

All processes of a gateway write to one file, a line in one write. The process that finds it full renames it, and the
others notice by its inode, as they notice logrotate.

Source: write(2) with O_APPEND; flock(2); proc(5), /proc/pid/fd.
"""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

CONTAINER = "stderr"
"""The name of the standard error of the container, which is that of its first process."""
_CONTAINER_PATH = Path("/proc/1/fd/2")
MAX_BYTES = 10 << 20  # two of them at most: the file, and the one before it with `.1` at its end

_log = logging.getLogger("otlp_tracing.logs.file")


class LogFile(logging.Handler):
    """Writes to a file, which it makes if necessary.

    Args:
        name: CONTAINER, or a path.
        max_bytes: of the file.

    Raises:
        OSError: if it cannot be opened for writing.
    """

    def __init__(self, name: str, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        is_container = name == CONTAINER
        self._path = _CONTAINER_PATH if is_container else Path(name)
        self._max_bytes = None if is_container else max_bytes
        self._file = self._open()
        self._has_failed = False
        self.setFormatter(
            logging.Formatter(
                "%(asctime)s otlp-tracing[%(process)d] %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z"
            )
        )

    def is_stderr(self) -> bool:
        """Tell whether this process's own standard error is the same file."""
        return os.path.sameopenfile(self._file, 2)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; a line that cannot be written is dropped, which is logged elsewhere."""
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "replace")
            try:
                if self._max_bytes is not None:
                    self._rotate(self._max_bytes - len(line))
            finally:
                # A moved file is written to if no new one can be made: logrotate makes one a moment later.
                os.write(self._file, line)
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                _log.warning("log file write failed: %s: %s", self._path, error.strerror)
        else:
            self._has_failed = False

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
        super().close()

    def _rotate(self, room: int) -> None:
        if not self._is_current():
            self._reopen()
        if os.fstat(self._file).st_size <= room:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process renames it now; it may be stopped, so it is not waited for
        if self._is_current():
            self._path.replace(f"{self._path}.1")
        self._reopen()

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        new = self._open()
        os.close(self._file)  # with its lock
        self._file = new

    def _open(self) -> int:
        # A pipe that is full, because its reader is stopped, must not block: a worker would answer no request.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)
