"""Folders that belong to their owner alone, and why a path cannot be used: the owner, and the command that mends it."""

from __future__ import annotations

import errno
import os
import pwd
import shlex
from pathlib import Path


def make_private(path: Path) -> None:
    """Make a folder and those on the way to it, each with the mode 0700 whatever the umask is.

    Folders that exist are left as they are.

    Raises:
        OSError: if one cannot be made.
    """
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def reason(path: Path, error: OSError) -> str:
    """Return a sentence about an error at a path, with the command that mends it where it is known.

    Args:
        path: of the file that was to be written or read.
        error: as raised.
    """
    if error.errno == errno.EROFS:
        return f"{_existing(path)} is on a read-only file system; mount it writable"
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return f"{_existing(path)} is not a folder; move it away"
    obstacle = _obstacle(path, error)
    if obstacle is None:
        return error.strerror or str(error)
    command = mending_command(path, error)
    mend = f"run: {command}" if command else "start it as that user"
    return f"{obstacle} belongs to {_owner(obstacle)}, and this process runs as {user_name(os.geteuid())}; {mend}"


def mending_command(path: Path, error: OSError) -> str:
    """Return the command for a shell of root that mends an error at a path; empty if none is known."""
    obstacle = _obstacle(path, error)
    if obstacle is None or os.geteuid() == 0:
        return ""
    return f"chown -R {user_name(os.geteuid())} {shlex.quote(str(obstacle))}"


def _existing(path: Path) -> Path:
    """Return the path, or the deepest folder on the way to it that exists."""
    for one in (path, *path.parents):
        if os.path.lexists(one):
            return one
    return path


def _obstacle(path: Path, error: OSError) -> Path | None:
    """Return the folder on the way that this process may not enter, or the last one, which it may not write to."""
    if error.errno not in {errno.EACCES, errno.EPERM}:
        return None
    for folder in reversed(path.parents):
        if folder.is_dir() and not os.access(folder, os.X_OK):
            return folder
    last = _existing(path)
    return last if not os.access(last, os.W_OK) or last == path else None


def _owner(path: Path) -> str:
    try:
        return user_name(path.lstat().st_uid)
    except OSError:
        return "another user"


def user_name(uid: int) -> str:
    """Return the name of a user, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
