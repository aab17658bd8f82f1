"""The folder of a spool: private to its owner, and used by one process at a time.

Source: open(2), flock(2); SQLite, "Database File Format" (the header's application id and user version).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from pathlib import Path

from otlp_tracing.folders import make_private
from otlp_tracing.sidecar.spool.schema import FORMAT
from otlp_tracing.sidecar.spool.tally import SUFFIX as _TALLY

_HEADER = struct.Struct(">60xI")  # the user version, in bytes 60 to 63 of a database
_MAGIC = b"SQLite format 3\0"
_SUFFIXES = ("", "-wal", "-journal", "-shm", _TALLY)
_QUARANTINED, _RECOVERED = "spool.rescue-", "spool.corrupt-"
_MAX_RECOVERED = 2  # kept for a person to examine; each may be as large as the spool


class SpoolFolder:
    """A folder that holds spool.db, locked for this process.

    Raises:
        OSError: if it cannot be created, belongs to another user, is a link, or another process has locked it.
    """

    def __init__(self, path: Path) -> None:
        make_private(path)
        self._path = path
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise OSError(f"{path} is not a folder (links are not followed)")
        _refuse_other_owner(path, status)
        if stat.S_IMODE(status.st_mode) & 0o077:
            path.chmod(0o700)
        self._lock = _open_private(path / "spool.lock")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise OSError(f"{path} is in use by another sidecar") from None

    def database(self) -> Path:
        """Return the file to use; it exists and is private. A file of a newer format is left alone."""
        path = self._path / "spool.db"
        if _format(path) > FORMAT:
            path = self._path / f"spool.v{FORMAT}.db"
        for suffix in _SUFFIXES[1:]:
            _refuse_link(path.with_name(path.name + suffix))
        os.close(_open_private(path))
        return path

    def has_newer(self) -> bool:
        """Tell whether a later version of the program has left a spool here."""
        return _format(self._path / "spool.db") > FORMAT

    def is_writable(self) -> bool:
        """Write and delete a file, to tell whether the folder takes writes at all."""
        probe = self._path / "spool.probe"
        try:
            descriptor = _open_private(probe)
            try:
                os.write(descriptor, b"1")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                probe.unlink()
        except OSError:
            return False
        return True

    def quarantine(self, database: Path) -> None:
        """Move a broken database aside, to be recovered."""
        number = 1 + max(map(_number, self._path.glob("spool.*")), default=0)
        _move(database, self._path / f"{_QUARANTINED}{number}")

    def quarantined(self) -> list[Path]:
        """Return the databases that are not completely recovered yet, oldest first; also an earlier process's."""
        return sorted((path for path in self._path.glob(f"{_QUARANTINED}*") if _number(path)), key=_number)

    def keep_recovered(self, quarantined: Path) -> Path:
        """Keep a recovered database for a person, and delete all but the latest two of them."""
        kept = _move(quarantined, self._path / f"{_RECOVERED}{_number(quarantined)}")
        for path in self._path.glob(f"{_RECOVERED}*"):
            if 0 < _number(path) <= _number(kept) - _MAX_RECOVERED:
                self.remove(path)
        return kept

    @staticmethod
    def remove(database: Path) -> None:
        """Delete a database with the files beside it."""
        for suffix in _SUFFIXES:
            database.with_name(database.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._lock)


def _move(database: Path, to: Path) -> Path:
    for suffix in _SUFFIXES:
        source = database.with_name(database.name + suffix)
        if source.exists():
            source.rename(to.with_name(to.name + suffix))
    return to


def _number(path: Path) -> int:
    text = path.name.removeprefix(_RECOVERED).removeprefix(_QUARANTINED)
    return int(text) if text.isdecimal() else 0


def _format(path: Path) -> int:
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
    except FileNotFoundError:
        return 0
    is_database = len(header) == _HEADER.size and header.startswith(_MAGIC)
    return int(_HEADER.unpack(header)[0]) if is_database else 0


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise OSError(f"{path} is a link; links are not followed")


def _refuse_other_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))


def _open_private(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    status = os.fstat(descriptor)
    try:
        _refuse_other_owner(path, status)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a regular file")
    except OSError:
        os.close(descriptor)
        raise
    if stat.S_IMODE(status.st_mode) & 0o177:
        os.fchmod(descriptor, 0o600)
    return descriptor
