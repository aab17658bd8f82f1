"""Keeps the processes of one plugin server alive: a worker, and whatever serves beside it.

Binds Kong's socket before anything else, so that nothing ever finds it missing, and hands it to the
workers as an inherited descriptor: it outlives them. Ends with Kong, and takes its children along.
Must import nothing that takes time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from otlp_tracing.errors import ConfigError, Fault

__all__ = ["Child", "bind", "supervise"]

_log = logging.getLogger("otlp_tracing.server.supervisor")

_BACKLOG = 4096  # what the stock server listens with; the kernel caps it at net.core.somaxconn
_RESPAWN_SECONDS = 1.0  # Kong's own pace for a server that keeps ending (process.lua)
STOP_SECONDS = 8.0  # Kong kills what is left after ten
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


def bind(path: Path) -> socket.socket:
    """Listen on a unix socket that takes over the path in one step, whatever socket stood there.

    Raises:
        ConfigError: if its folder is missing or something that is no socket is in the way.
    """
    if not path.parent.is_dir():
        raise ConfigError(
            [Fault("--kong-prefix", str(path.parent), "there is no such folder; create it or name another")]
        )
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError([Fault("--socket-name", str(path), "is there already and is not a socket; move it away")])
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        previous = os.umask(0o177)
        try:
            listener.bind(str(temporary))
        finally:
            os.umask(previous)
        listener.listen(_BACKLOG)
        temporary.replace(path)
    except OSError as error:
        listener.close()
        raise ConfigError(
            [Fault("--kong-prefix", str(path), f"cannot listen there: {error.strerror or error}")]
        ) from error
    return listener


@dataclass
class Child:
    """A process to keep alive.

    Args:
        command: its command line.
        environment: added to ours.
        descriptors: inherited.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptors: Sequence[int] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = float("-inf")

    @property
    def role(self) -> str:
        """What it is, for the log."""
        return self.command[-1] if len(self.command) < 3 else self.command[2]

    def start_if_due(self, now: float) -> None:
        """Start it unless it runs, at most once a second."""
        if self.process is not None or now < self.started_at + _RESPAWN_SECONDS:
            return
        self.started_at = now
        self.process = subprocess.Popen(
            self.command,
            env={**os.environ, **self.environment},
            pass_fds=self.descriptors,
            stdin=subprocess.DEVNULL,
            # This process has one thread, and blocks the signals that it waits for; a child must not.
            preexec_fn=_unblock_signals,  # noqa: PLW1509
        )

    def note_end(self) -> None:
        """Say it and forget the process, if it has ended."""
        if self.process is not None and self.process.poll() is not None:
            _log.warning("the %s (pid %d) ended with %d", self.role, self.process.pid, self.process.returncode)
            self.process = None


def supervise(children: Sequence[Child], clock: Callable[[], float] = time.monotonic) -> None:
    """Run the children until SIGTERM, SIGINT, or the end of the process that started this one.

    They are stopped in the order given, each before the next: what sends before what receives.
    """
    parent = os.getppid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    while True:
        for child in children:
            child.note_end()
            child.start_if_due(clock())
        received = signal.sigtimedwait(_SIGNALS, 0.2)
        if received is not None and received.si_signo != signal.SIGCHLD:
            break
        if os.getppid() != parent:
            _log.info("Kong (pid %d) is gone; ending", parent)
            break
    _stop(children)


def _unblock_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _stop(children: Sequence[Child]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        if child.process is None:
            continue
        child.process.terminate()
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.warning("the %s (pid %d) did not end in time; killed", child.role, child.process.pid)
            child.process.kill()
            child.process.wait()
