"""Whether the permissions of files and folders let the user of another process use a path.

Source: path_resolution(7); inode(7) for the order of owner, group and others; acl(5).
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from otlp_tracing.folders import user_name

_ACL = "system.posix_acl_access"
_MOST_LINKS = 40  # path_resolution(7): the kernel's own bound


@dataclass(frozen=True)
class User:
    """The user of a process.

    Args:
        uid: its number.
        groups: the numbers of its groups.
    """

    uid: int
    groups: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """Its name, or its number."""
        return user_name(self.uid)

    def may_enter(self, path: Path) -> bool:
        """Tell whether a folder may be entered, or a file be executed; it is assumed where this process cannot see."""
        try:
            status = path.stat()
        except OSError:
            return True
        return self.uid == 0 or bool(status.st_mode & self._bit(status)) or _has_list(path)

    def barred_from(self, path: Path) -> list[Path]:
        """Return the folders on the way to a path, links included, that this user may not enter."""
        return [one for one in dict.fromkeys(_way(path)) if not self.may_enter(one)]

    def enter_command(self, path: Path) -> str:
        """Return the command for a shell of root that lets this user enter a folder, without a look at its files."""
        letter = {stat.S_IXUSR: "u", stat.S_IXGRP: "g", stat.S_IXOTH: "o"}[self._bit(path.stat())]
        return f"chmod {letter}+x {shlex.quote(str(path))}"

    def _bit(self, status: os.stat_result) -> int:
        if status.st_uid == self.uid:
            return stat.S_IXUSR
        return stat.S_IXGRP if status.st_gid in self.groups else stat.S_IXOTH


def owner_and_mode(path: Path) -> str:
    """Return the words for the reason why a path is closed."""
    status = path.stat()
    return f"{path} belongs to {user_name(status.st_uid)} and has mode {stat.S_IMODE(status.st_mode):04o}"


def _has_list(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, _ACL))
    except OSError:
        return False


def _way(path: Path) -> Iterator[Path]:
    for _ in range(_MOST_LINKS):
        for form in (path, Path(os.path.realpath(path.parent), path.name)):
            yield from (Path(os.path.realpath(one)) for one in reversed(form.parents))
        if not os.path.islink(path):
            return
        path = path.parent / path.readlink()
