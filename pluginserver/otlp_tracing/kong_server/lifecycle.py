"""When a worker serves, when it makes room for a successor, and when it ends.

It outlives its supervisor: Kong replaces a killed supervisor within a second, and until then the socket must keep a
listener. It ends with Kong, and when another group has taken the socket's path over (`kong reload`, a second `serve`).
A group that is about to take a path over does not disturb the other until it serves.

Linux only: pidfd.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import select
import signal
import stat
from pathlib import Path

from otlp_tracing.unix_sockets import identity

_SHELLS = frozenset({"ash", "bash", "dash", "fish", "ksh", "sh", "zsh"})


class WorkerState(enum.Enum):
    """The state of a worker."""

    SERVING = enum.auto()
    DRAINING = enum.auto()
    """Another group serves new connections; end each own connection when nothing is under way on it."""
    STOPPING = enum.auto()
    """The same, and soon."""


class Lifecycle:
    """The state of one worker, looked up a few times a second.

    Args:
        path: of Kong's socket.
        bound: identity of the socket at the path when this group bound it.
        kong: pidfd of the process that started the group; None without one to follow.
        supervisor: pid of the group's `serve`, which may have ended before this process could look.
    """

    def __init__(self, path: Path, bound: tuple[int, int], kong: int | None, supervisor: int) -> None:
        self._path = path
        self._bound = bound
        self._waiting = pending_path(path, supervisor)
        self._kong = kong
        self._told_to_end = False
        self._supervisor: int | None = supervisor

    def publish_socket(self) -> None:
        """Move the group's socket to the path that Kong connects to, because a worker serves it now."""
        with contextlib.suppress(OSError):
            if identity(self._waiting) == self._bound:
                self._waiting.replace(self._path)

    def end_on_signals(self) -> None:
        """End on SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)

    def state(self) -> WorkerState:
        """Check for changes."""
        if self._supervisor is not None and os.getppid() != self._supervisor:
            self._supervisor = None
            _release_output()
        if self._told_to_end or (self._kong is not None and not is_running(self._kong)):
            return WorkerState.STOPPING
        if is_superseded(self._bound, self._path, self._waiting):
            return WorkerState.DRAINING
        return WorkerState.SERVING

    def _tell(self, _number: int, _frame: object) -> None:
        self._told_to_end = True


def pending_path(path: Path, supervisor: int) -> Path:
    """Return where a group's socket waits for its first worker while another group serves."""
    return path.with_name(f".{path.name}.{supervisor}")


def kept_path(path: Path, supervisor: int) -> Path:
    """Return the second name of a group's socket, from which the first is made again if it is deleted."""
    return path.with_name(f".{path.name}.kept.{supervisor}")


def is_superseded(bound: tuple[int, int], path: Path, waiting: Path) -> bool:
    """Tell whether another group has replaced this one: another socket is at the path, and its own does not wait."""
    return identity(path) not in {None, bound} and identity(waiting) != bound


def watch_starter() -> int | None:
    """Return a pidfd of the process that started this one.

    None where the kernel gives none, and for a shell if SIGHUP is ignored: nohup lets this process outlive its shell.

    Raises:
        ProcessLookupError: if that process has ended: getppid() names another one then.
    """
    pid = os.getppid()
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN and _is_shell(pid):
        return None
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        descriptor = None
    # Kong can end before the first line of this process runs. Its end of the output's pipe is closed then.
    if os.getppid() != pid or _is_unread(1) or _is_unread(2):
        if descriptor is not None:
            os.close(descriptor)
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    return descriptor


def _is_shell(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path("/proc", str(pid), "comm").read_text().strip() in _SHELLS
    return False


def is_running(descriptor: int) -> bool:
    """Tell whether a process still runs; a pidfd becomes readable when it ends."""
    return not select.select([descriptor], [], [], 0)[0]


def _is_unread(descriptor: int) -> bool:
    """Tell whether a descriptor is a pipe without a reader."""
    try:
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return False
    except OSError:
        return False
    poller = select.poll()
    poller.register(descriptor, 0)
    return any(events & select.POLLERR for _, events in poller.poll(0))


def _release_output() -> None:
    # Kong starts a plugin server again when its output ends, and we hold the same pipe (process.lua, grab_logs).
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    os.close(null)
