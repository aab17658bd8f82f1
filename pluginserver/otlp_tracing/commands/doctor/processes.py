"""The processes of Kong and of otlp-tracing on this machine, or in this container, as /proc shows them.

Linux only: proc(5). Another user's environment cannot be read, and another pid namespace is not seen.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from otlp_tracing.commands.doctor.users import User
from otlp_tracing.commands.options import PREFIX

_MASTER = re.compile(r"nginx: master process .* -p (?P<prefix>.+?)(?: -c .*)?")
# Of Uid and Gid, the effective one.
_STATUS = re.compile(r"^(State|PPid|Uid|Gid):\t(?:\d+\t(?=\d))?(\w+)", re.MULTILINE)
_GROUPS = re.compile(r"^Groups:(.*)$", re.MULTILINE)
_ROLES = frozenset({"serve", "worker", "sidecar"})


@dataclass(frozen=True)
class Process:
    """A process that runs.

    Args:
        parent: its parent's pid.
        uid: its effective user.
        argv: its command line.
        groups: its groups.
    """

    pid: int
    parent: int
    uid: int
    argv: tuple[str, ...]
    groups: frozenset[int] = frozenset()

    @property
    def user(self) -> User:
        """Its user, with its groups."""
        return User(self.uid, self.groups)

    @property
    def kong_prefix(self) -> Path | None:
        """The prefix of Kong, if this is the master of its nginx."""
        found = _MASTER.fullmatch(self.argv[0].rstrip())
        return Path(found["prefix"]) if found else None

    @property
    def role(self) -> str | None:
        """`serve`, `worker` or `sidecar`; None for other programs."""
        if not re.match(r"python|otlp[-_]tracing$", Path(self.argv[0]).name):
            return None  # `runuser … otlp-tracing sidecar` stays as the parent, with another user
        for program, role in zip(self.argv, self.argv[1:], strict=False):
            if Path(program).name in {"otlp-tracing", "otlp_tracing"}:
                return role if role in _ROLES else None
        return None

    @property
    def served_socket(self) -> Path | None:
        """The socket that a worker of the plugin server serves."""
        try:
            return Path(json.loads(self.argv[self.argv.index("worker") + 1])["socket"])
        except (ValueError, IndexError, KeyError, TypeError):
            return None

    def option(self, name: str) -> str | None:
        """The value of an option on its command line."""
        for one, following in zip(self.argv, (*self.argv[1:], ""), strict=True):
            if one == name:
                return following
            if one.startswith(f"{name}="):
                return one.partition("=")[2]
        return None

    def setting(self, name: str) -> str | None:
        """The value of an option, from its command line or from its variable OTLP_TRACING_*."""
        return self.option(name) or self.environment().get(PREFIX + name.strip("-").replace("-", "_").upper())

    def environment(self) -> Mapping[str, str]:
        """Return its variables as they were at its start; empty if they cannot be read."""
        try:
            text = Path("/proc", str(self.pid), "environ").read_bytes().decode(errors="replace")
        except OSError:
            return {}
        return {name: value for name, equals, value in (one.partition("=") for one in text.split("\0")) if equals}


def running() -> list[Process]:
    """Return every process that this user can see."""
    return list(_running())


def _running() -> Iterator[Process]:
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        folder = Path("/proc", name)
        try:
            # The owner of the folder is root for a process that was root's, such as nginx's workers.
            text = (folder / "status").read_text(errors="replace")
            status = {found[1]: found[2] for found in _STATUS.finditer(text)}
            argv = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if status["State"] not in "ZX":
                more = _GROUPS.search(text)
                groups = frozenset(map(int, [status["Gid"], *(more[1].split() if more else [])]))
                yield Process(int(name), int(status["PPid"]), int(status["Uid"]), tuple(argv), groups)
        except (OSError, ValueError, KeyError):
            continue
