"""Load clients as processes of their own: each is one Kong worker, with its own pid and its own core."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from checkout import CHECKOUT
from load.command import READY, SETTLED

_READY_SECONDS = 30.0
_END_SECONDS = 15.0
_MAX_TRIES = 200


class LoadFailedError(Exception):
    """A client ended without a result."""


class LoadClient:
    """One `python -m tests.load --told`.

    Args:
        socket: of the plugin server.
        protocol: msgpack or protobuf.
        options: more of the command's.
        remainder: the pid divided by `slots` must leave this, since the server spreads Kong's workers so.
        slots: how many workers the server has.
    """

    def __init__(
        self, socket: Path, protocol: str, options: Sequence[str] = (), *, remainder: int = 0, slots: int = 1
    ) -> None:
        command = [sys.executable, "-m", "tests.load", str(socket), "--protocol", protocol, "--json", "--told"]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        for _ in range(_MAX_TRIES):
            self._process = subprocess.Popen(
                [*command, *options],
                cwd=CHECKOUT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
            if self.pid % slots == remainder % slots:
                return
            self.kill()
        raise LoadFailedError("no process got a pid of the right remainder")

    @property
    def pid(self) -> int:
        """Its pid, by which the server knows a Kong worker."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait until it has warmed up."""
        self._await(READY)

    def begin(self) -> None:
        """Let it begin; returns at once."""
        self._tell()

    def wait_until_settled(self) -> None:
        """Wait until every request has ended that is under way now; more of them may be by then."""
        self._tell()
        self._await(SETTLED)

    def result(self) -> dict[str, Any]:
        """Wait until its time is up, and return its report."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self._process.wait(_END_SECONDS)
        if not line:
            raise LoadFailedError(self._complaint())
        result: dict[str, Any] = json.loads(line)
        return result

    def end(self) -> dict[str, Any]:
        """Let it finish running requests, and return its report."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.result()

    def kill(self) -> None:
        """End it at once, if it still runs."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def close(self) -> None:
        """End it, and discard its report."""
        self.kill()
        self._errors.close()

    def _tell(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def _await(self, word: str) -> None:
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], _READY_SECONDS)
        if not readable or self._process.stdout.readline().strip() != word.encode():
            raise LoadFailedError(self._complaint())

    def _complaint(self) -> str:
        self.kill()
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-2000:] or "it said nothing"


@contextlib.contextmanager
def load_clients(
    count: int, socket: Path, protocol: str, options: Sequence[str] = (), *, slots: int = 1
) -> Iterator[list[LoadClient]]:
    """Give clients that have warmed up, spread over the server's workers; none is left at the end."""
    clients: list[LoadClient] = []
    try:
        for number in range(count):
            clients.append(LoadClient(socket, protocol, options, remainder=number, slots=slots))
        for client in clients:
            client.wait_until_ready()
        yield clients
    finally:
        for client in clients:
            client.close()
