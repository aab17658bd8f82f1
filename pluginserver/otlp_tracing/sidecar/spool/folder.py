"""The folder of a spool: the owner's alone, held by one process at a time.

Source: open(2), flock(2); SQLite, "Database File Format" (the header's application id and user version).
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from pathlib import Path

from otlp_tracing.sidecar.spool.tally import SUFFIX as _TALLY

FORMAT = 1
_HEADER = struct.Struct(">60xI")  # the user version, in bytes 60 to 63 of a database
_MAGIC = b"SQLite format 3\0"
_SUFFIXES = ("", "-wal", "-journal", "-shm", _TALLY)
_RESCUE, _CORRUPT = "spool.rescue-", "spool.corrupt-"
_MAX_QUARANTINED = 2  # each may be as large as the spool; who wants to look at one looks at the latest


class SpoolFolder:
    """A folder that holds spool.db, and nobody else uses.

    Raises:
        OSError: if it cannot be made, belongs to another user, is a link, or another process holds it.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(f"{path} is not a folder (links are not followed)")
        if status.st_uid != os.geteuid():
            raise PermissionError(f"{path} belongs to user {status.st_uid}, not to {os.geteuid()}")
        if stat.S_IMODE(status.st_mode) & 0o077:
            path.chmod(0o700)
        self._lock = _open_own(path / "spool.lock")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise BlockingIOError(f"{path} is in use by another sidecar") from None

    def database(self) -> Path:
        """Return the file to use, there and the owner's alone; one of a newer format is left as it is."""
        path = self._path / "spool.db"
        if _format(path) > FORMAT:
            path = self._path / f"spool.v{FORMAT}.db"
        for suffix in _SUFFIXES[1:]:
            _refuse_link(path.with_name(path.name + suffix))
        os.close(_open_own(path))
        return path

    def has_newer(self) -> bool:
        """Tell whether a later version of the program has left a spool here."""
        return _format(self._path / "spool.db") > FORMAT

    def takes_files(self) -> bool:
        """Tell whether something can be written here at all."""
        probe = self._path / "spool.probe"
        try:
            descriptor = _open_own(probe)
            try:
                os.write(descriptor, b"1")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                probe.unlink()
        except OSError:
            return False
        return True

    def quarantine(self, database: Path) -> Path:
        """Move a database aside, to be rescued from."""
        number = 1 + max(map(_number, self._path.glob("spool.*")), default=0)
        return _move(database, self._path / f"{_RESCUE}{number}")

    def unrescued(self) -> list[Path]:
        """Return what was moved aside and not wholly rescued from, by an earlier process maybe; oldest first."""
        return sorted((path for path in self._path.glob(f"{_RESCUE}*") if _number(path)), key=_number)

    def rescued(self, aside: Path) -> Path:
        """Keep one that was rescued from for a person to look at; the oldest such go."""
        kept = _move(aside, self._path / f"{_CORRUPT}{_number(aside)}")
        for path in self._path.glob(f"{_CORRUPT}*"):
            if 0 < _number(path) <= _number(kept) - _MAX_QUARANTINED:
                self.remove(path)
        return kept

    @staticmethod
    def remove(database: Path) -> None:
        """Delete a database with what belongs to it."""
        for suffix in _SUFFIXES:
            database.with_name(database.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock)


def _move(database: Path, to: Path) -> Path:
    for suffix in _SUFFIXES:
        source = database.with_name(database.name + suffix)
        if source.exists():
            source.rename(to.with_name(to.name + suffix))
    return to


def _number(path: Path) -> int:
    text = path.name.removeprefix(_CORRUPT).removeprefix(_RESCUE)
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
        raise PermissionError(f"{path} is a link; links are not followed")


def _open_own(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid() or not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise PermissionError(f"{path} is no file of user {os.geteuid()}")
    if stat.S_IMODE(status.st_mode) & 0o177:
        os.fchmod(descriptor, 0o600)
    return descriptor
