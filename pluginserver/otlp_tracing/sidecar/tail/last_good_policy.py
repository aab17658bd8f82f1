"""A copy of the last good policy file, in the spool's folder: a restart with a wrong file has it still.

The first line is JSON with the place, the time and the hash. The bytes of the file follow.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from otlp_tracing.config.policies import MAX_BYTES
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.folders import reason

NAME = "policies.last-good"
_MAX_HEAD = 32 << 10  # a path has 4 KiB at most, and JSON escapes a character to six bytes at the worst
_MAX_UNIX = 1 << 34  # the year 2514; a time beyond is damage
_WRITING_SECONDS = 60.0  # a copy is written in milliseconds


class _Head(msgspec.Struct):
    """The first line: the policy file's place, when its version came into force, and the hash of the version."""

    file: str
    applied_unix: float
    sha256: str


@dataclass(frozen=True, slots=True)
class LastGood:
    """A version of the policy file that was in force.

    Args:
        content: its bytes.
        applied_unix: when it came into force, in seconds since 1970.
    """

    content: bytes
    applied_unix: float

    @property
    def digest(self) -> str:
        """The SHA-256 of its bytes, as sha256sum prints it."""
        return hashlib.sha256(self.content).hexdigest()


class PolicyCopy:
    """The copy of one policy file.

    Args:
        folder: of the spool; None where nothing is stored on disk: then there is no copy.
        file: that is copied.
    """

    def __init__(self, folder: Path | None, file: Path | None) -> None:
        self._path = folder / NAME if folder is not None else None
        self._file = str(file)

    def write(self, version: LastGood) -> None:
        """Replace the copy in one step, readable for the owner alone.

        Raises:
            OSError: if it cannot be written; the message is a sentence.
        """
        if self._path is None:
            return
        head = _Head(self._file, version.applied_unix, version.digest)
        try:
            self._remove_leftovers()
            number, name = tempfile.mkstemp(prefix=f"{NAME}.", dir=self._path.parent)  # with the mode 0600
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(msgspec.json.encode(head) + b"\n" + version.content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self._path)
            except BaseException:
                with suppress(OSError):
                    Path(name).unlink()
                raise
        except OSError as error:
            raise OSError(f"{self._path}: {reason(self._path, error)}") from error

    def read(self) -> LastGood | None:
        """Return the copy; None without one.

        Raises:
            ConfigError: if it cannot be read, is damaged, or is of another policy file.
        """
        if self._path is None:
            return None
        try:
            with open(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                    raise _fault("is not a file of this user")
                if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    raise _fault("may be written by other users")
                found = file.read(_MAX_HEAD + MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _fault(f"cannot be read: {reason(self._path, error)}") from error
        line, _, content = found.partition(b"\n")
        try:
            head = msgspec.json.decode(line, type=_Head)
        except (msgspec.DecodeError, RecursionError) as error:
            raise _fault("is damaged") from error
        version = LastGood(content, head.applied_unix)
        if head.sha256 != version.digest or not 0 <= head.applied_unix < _MAX_UNIX:
            raise _fault("is damaged")
        if head.file != self._file:
            raise _fault(f"is of another policy file, {head.file}")
        return version

    def remove(self) -> None:
        """Remove the copy, if there is one."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()

    def _remove_leftovers(self) -> None:
        """Remove what processes left that were killed while they wrote."""
        assert self._path is not None
        for path in self._path.parent.glob(f"{NAME}.*"):
            with suppress(OSError):
                if path.lstat().st_mtime < time.time() - _WRITING_SECONDS:
                    path.unlink()


def _fault(rule: str) -> ConfigError:
    return ConfigError([Fault("", "", f"its copy {rule}")])
