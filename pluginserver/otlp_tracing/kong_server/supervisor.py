"""Keeps the processes of one plugin server alive: its workers, and its embedded sidecar.

Binds Kong's socket before anything else, so that the path always leads to a listener. The workers inherit the socket:
it outlives them, and they outlive this process (lifecycle.py). The supervisor ends with Kong, and when another group
has taken the socket over; it ends its children first. It must import nothing that takes time.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.folders import reason
from otlp_tracing.kong_server.heartbeat import (
    LOOK_SECONDS,
    HeartbeatTable,
    Watchdog,
    state_and_cpu_seconds,
    waits_for_core,
)
from otlp_tracing.kong_server.lifecycle import is_running, is_superseded, kept_path, pending_path
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.unix_sockets import identity, listen_owner_only, refuse_other_file

_log = logging.getLogger("otlp_tracing.kong_server.supervisor")
_unreachable = LimitedLog(_log)

_BACKLOG = 4096  # the stock server's backlog; the kernel caps it at net.core.somaxconn
_RESPAWN_SECONDS = 1.0  # between starts of a worker that keeps ending; Kong's own pace (process.lua)
# Another child that ends at once is started again after 1, 2, 4 … 60 s: it would take the gateway's CPU.
_MAX_RESPAWN_SECONDS = 60.0
_SETTLED_SECONDS = 5.0  # a child that ends earlier has ended at once
_KILLED_SECONDS = 1.0  # if a signal has ended it: earlier than this
# The time that a worker may take until it serves, without the wait for a core. It doubles with each worker that took
# longer: a slow disk may need it.
_START_SECONDS = 5.0
_MAX_START_SECONDS = 60.0
_RETIRE_SECONDS = 12.0  # workers that make room for another group's take up to ten
STOP_SECONDS = 8.0  # Kong kills remaining processes after ten
_END_SIGNALS = {signal.SIGTERM, signal.SIGINT}
_LOOK_SECONDS = 0.25  # at rest, for anything but heartbeats: as often as a worker looks
_SIGNALS = {*_END_SIGNALS, signal.SIGCHLD}


def bind(path: Path) -> tuple[socket.socket, tuple[int, int]]:
    """Listen on a unix socket for Kong's path.

    While another group serves the path, the socket waits beside it: the first of this group's workers that
    serves puts it there (Lifecycle.publish_socket), in one step, so that the path always leads to a listener.

    Returns:
        The socket, and its identity.

    Raises:
        ConfigError: if its folder is missing, belongs to another user, or something that is no socket is in the way.
    """
    temporary = pending_path(path, os.getpid())
    try:
        refuse_other_file(path)
        _remove_abandoned_sockets(path)
        listener = listen_owner_only(temporary, _BACKLOG)
        bound = identity(temporary)
        assert bound is not None
        kept = kept_path(path, os.getpid())
        kept.unlink(missing_ok=True)  # of a killed process with this pid, in a container
        with contextlib.suppress(OSError):  # a file system without links
            kept.hardlink_to(temporary)
        if not _is_served(path):
            temporary.replace(path)
    except FileExistsError as error:
        raise ConfigError([Fault("--socket-name", str(path), str(error.strerror))]) from error
    except FileNotFoundError as error:
        rule = "there is no such folder; create it or name another"
        raise ConfigError([Fault("--kong-prefix", str(path.parent), rule)]) from error
    except OSError as error:
        raise ConfigError([Fault("--kong-prefix", str(path), f"cannot listen there: {reason(path, error)}")]) from error
    return listener, bound


def _is_served(path: Path) -> bool:
    return _connect(path) == 0


def _connect(path: Path) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        return probe.connect_ex(str(path))


def _remove_abandoned_sockets(path: Path) -> None:
    """Remove the sockets of groups that ended while they waited for their place, or were killed.

    Such a group has neither its supervisor, which a pid namespace of its own could hide, nor a listener, which is
    missing for a moment between bind and listen.
    """
    for waiting in path.parent.iterdir():
        prefix, _, pid = waiting.name.rpartition(".")
        if prefix in {f".{path.name}", f".{path.name}.kept"} and pid.isdecimal() and not Path("/proc", pid).exists():
            with contextlib.suppress(OSError):
                if _connect(waiting) == errno.ECONNREFUSED:
                    waiting.unlink()


@dataclass
class Child:
    """A process to keep alive.

    Args:
        role: its kind, for the log.
        command: its command line.
        environment: added to that of the supervisor.
        descriptors: inherited.
        slot: of a worker, in the slot table; None for others.
    """

    role: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptors: Sequence[int] = ()
    slot: int | None = None
    process: subprocess.Popen[bytes] | None = None
    has_served: bool = False
    started_at: float = float("-inf")
    ended_at_once: int = 0
    start_seconds: float = _START_SECONDS

    def __post_init__(self) -> None:
        """Limit the log lines of a child that keeps ending: a worker is started each second."""
        self._ended, self._not_started = LimitedLog(_log), LimitedLog(_log)

    @property
    def pause(self) -> float:
        """Seconds between two starts."""
        # The exponent is bounded as well: without it the number would grow for as long as the fault lasts.
        longer = 1 << min(max(0, self.ended_at_once - 1), 6)
        return min(_RESPAWN_SECONDS * longer, _MAX_RESPAWN_SECONDS)

    def start_if_due(self, now: float) -> None:
        """Start the process unless it runs: at once if it had run for a while, otherwise after a pause."""
        if self.process is not None or now < self.started_at + self.pause:
            return
        self.started_at, self.has_served = now, False
        try:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                pass_fds=self.descriptors,
                stdin=subprocess.DEVNULL,
                # This process has one thread, and blocks the signals that it waits for; a child must not.
                preexec_fn=_unblock_signals,  # noqa: PLW1509
            )
        except OSError as error:
            # No process or no memory is left, or the installation is being replaced.
            self._not_started.error("%s start failed, trying again: %s: %s", self.role, self.command[0], error.strerror)

    def note_end(self, table: HeartbeatTable, now: float) -> None:
        """Log the end of the process and forget it, if it has ended."""
        if self.process is None or self.process.poll() is None:
            return
        lasted, code = now - self.started_at, self.process.returncode
        is_settled = lasted >= (_KILLED_SECONDS if code < 0 else _SETTLED_SECONDS)
        self.ended_at_once = 0 if is_settled or self.slot is not None else self.ended_at_once + 1
        again = f"; the next start is after {self.pause:g} s" if self.pause > _RESPAWN_SECONDS else ""
        self._ended.warning("%s ended: pid %d, exit code %d%s", self.role, self.process.pid, code, again)
        if self.slot is not None and table.read(self.slot)[0] == self.process.pid:
            table.write(self.slot, 0, table.read(self.slot)[1])
        self.process = None

    def end_if_stuck_at_start(self, table: HeartbeatTable, now: float) -> None:
        """Kill a worker that never came to serve: the watchdog looks only after those that do."""
        if self.slot is None or self.process is None or self.has_served:
            return
        # A slot is empty again before a worker that the watchdog of another one has killed is gone.
        self.has_served = table.read(self.slot)[0] == self.process.pid
        if not self.has_served and now >= self.started_at + self.start_seconds:
            if waits_for_core(*state_and_cpu_seconds(self.process.pid), self.start_seconds):
                return
            _log.warning("%s killed: pid %d did not serve within %g s", self.role, self.process.pid, self.start_seconds)
            self.start_seconds = min(2 * self.start_seconds, _MAX_START_SECONDS)
            self.process.kill()


def supervise(
    children: Sequence[Child],
    table: HeartbeatTable,
    path: Path,
    bound: tuple[int, int],
    *,
    kong: int | None,
    pump: Callable[[], None] = lambda: None,
) -> None:
    """Run the children until SIGTERM, SIGINT, the end of the process that started this one, or a successor.

    Workers are stopped before the rest: senders before receivers.

    Args:
        children: workers and others.
        table: of the workers' slots.
        path: of Kong's socket; another socket there means another group.
        bound: identity of this group's.
        kong: pidfd of the process that started this one; None without one to follow.
        pump: called four times a second; must not block.
    """
    watchdog = Watchdog(table, None)
    waiting = pending_path(path, os.getpid())
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    received, look_at = None, time.monotonic()
    while True:
        for pid in watchdog.check():
            _log.warning("worker killed: pid %d sent no heartbeat", pid)
        # A child that ends, killed or not, sends a signal.
        now = time.monotonic()
        is_due = received is not None or now >= look_at
        if is_due:
            look_at = now + _LOOK_SECONDS
            for child in children:
                child.note_end(table, now)
                child.end_if_stuck_at_start(table, now)
                child.start_if_due(now)
            pump()
        received = signal.sigtimedwait(_SIGNALS, LOOK_SECONDS)
        # Check for the exact signals: after SIGSTOP and SIGCONT, CPython 3.11 can return a number that is no signal.
        if received is not None and received.si_signo in _END_SIGNALS:
            break
        if not is_due:
            continue
        if kong is not None and not is_running(kong):
            _log.info("ending: the process that started this one has ended")
            break
        if is_superseded(bound, path, waiting):
            _log.info("socket taken over: another plugin server serves %s; making room", path)
            _retire([child for child in children if child.slot is not None])
            break
        if identity(path) is None and identity(waiting) != bound and not _restore(path):
            break
    _stop(children)
    # In a folder that was closed meanwhile it stays, and the next group removes it.
    with contextlib.suppress(OSError):
        kept_path(path, os.getpid()).unlink()


def _restore(path: Path) -> bool:
    """Give a deleted socket its name again, or tell that it has none any more.

    In a folder that this user may not use, the socket is only out of sight: its connections stay, and another process
    could bind none.
    """
    try:
        path.hardlink_to(kept_path(path, os.getpid()))
    except FileExistsError:
        return True
    except OSError as error:
        is_closed = not os.access(path.parent, os.W_OK | os.X_OK)
        if error.errno in {errno.EACCES, errno.EROFS} or (error.errno == errno.EPERM and is_closed):
            _unreachable.error("socket unreachable: %s", reason(path, error))
            return True
        # Whatever started this process starts it again, and it binds another socket.
        _log.error("socket deleted, ending: %s cannot be made again: %s", path, error.strerror)
        return False
    _log.warning("socket deleted: %s: it is there again", path)
    return True


def _retire(workers: Sequence[Child]) -> None:
    deadline = time.monotonic() + _RETIRE_SECONDS
    while any(worker.process and worker.process.poll() is None for worker in workers):
        received = signal.sigtimedwait(_SIGNALS, 0.1)
        if time.monotonic() > deadline or (received is not None and received.si_signo in _END_SIGNALS):
            return


def _unblock_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _stop(children: Sequence[Child]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    workers = [child for child in children if child.slot is not None]
    for stage in (workers, [child for child in children if child.slot is None]):
        running = [child.process for child in stage if child.process is not None]
        for process in running:
            process.terminate()
        for process in running:
            _wait_or_kill(process, deadline)


def _wait_or_kill(process: subprocess.Popen[bytes], deadline: float) -> None:
    try:
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        _log.warning("process killed: pid %d did not end in time", process.pid)
        process.kill()
        process.wait()
