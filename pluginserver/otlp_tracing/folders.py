"""Folders that belong to their owner alone, and why a path cannot be used: the owner, and the command that mends it."""

from __future__ import annotations

import errno
import os
import pwd
import shlex
import sys
from pathlib import Path

_OWN_NAMES = frozenset({"otlp-tracing", "otlp-tracing.run"})
# Folders of all programs, which no command gives to one user. Source: hier(7).
_SYSTEM = """
    / /bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /usr/bin
    /usr/lib /usr/local /usr/local/bin /usr/share /var /var/cache /var/lib /var/log /var/run /var/spool /var/tmp
"""
_OF_THE_SYSTEM = frozenset(map(Path, _SYSTEM.split()))


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
        return f"{existing(path)} is on a read-only file system; mount it writable"
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return f"{existing(path)} is not a folder; move it away"
    obstacle = _obstacle(path, error)
    if obstacle is None:
        return error.strerror or str(error)
    command, user = mending_command(path, error), user_name(os.geteuid())
    otherwise = "start it as that user" if os.geteuid() == 0 else f"name a place that {user} may use"
    mend = f"run: {command}" if command else otherwise
    return f"{obstacle} belongs to {_owner(obstacle)}, and this process runs as {user}; {mend}"


def reason_in(folder: Path, error: OSError) -> str:
    """Return a sentence about an error in a folder, or on the way to it, as reason() does.

    Args:
        folder: that was to be made or used.
        error: as raised.
    """
    named = Path(error.filename) if isinstance(error.filename, str) else folder  # a descriptor has no path
    return reason(named if folder in named.parents else folder / named.name, error)


def mending_command(path: Path, error: OSError) -> str:
    """Return the command for a shell of root that mends an error at a path; empty if none is known.

    It makes the folder of the file if that is missing, and otherwise changes its owner.

    Args:
        path: of the file that was to be written or read.
        error: as raised.
    """
    obstacle = _obstacle(path, error)
    if obstacle is None or os.geteuid() == 0:
        return ""
    user = user_name(os.geteuid())
    if obstacle in {path, path.parent} or is_own(obstacle):
        return give_command(obstacle, user)
    return make_command(path.parent, user) if os.access(obstacle, os.X_OK) else ""


def is_own(path: Path) -> bool:
    """Tell whether a folder is one that this program makes for its own files, and is not installed in."""
    installed = Path(sys.prefix)
    if installed.is_relative_to(path) or path.is_relative_to(installed) or not path.is_dir():
        return False
    return path.name in _OWN_NAMES or path.parent.name in _OWN_NAMES


def give_command(path: Path, user: str, *, is_private: bool = False) -> str:
    """Return the command for a shell of root that gives a path to a user; empty for a folder of the system.

    The contents of a folder are given too only if it is the program's own: others have the files of other programs.

    Args:
        path: of a file or a folder.
        user: its name.
        is_private: nothing but this program uses the folder, whatever its name.
    """
    if path in _OF_THE_SYSTEM:
        return ""
    return f"chown {'-R ' if is_private or is_own(path) else ''}{shlex.quote(user)} {shlex.quote(str(path))}"


def make_command(folder: Path, user: str) -> str:
    """Return the command for a shell of root that makes a folder, and those on the way to it, for a user alone."""
    return f"install -d -m 700 -o {shlex.quote(user)} {shlex.quote(str(folder))}"


def existing(path: Path) -> Path:
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
    last = existing(path)
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
