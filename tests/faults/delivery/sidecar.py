"""The sidecar under test: `otlp-tracing sidecar` as a process, on a folder that outlives it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from e2e.client import fetch
from e2e.metrics import samples
from e2e.ports import HOST, free_port
from e2e.waiting import wait_for
from faults.delivery.books import Books, destinations, read_books
from faults.delivery.stalls import heartbeat
from load.process_figures import Figures, figures, waited_seconds
from otlp_tracing.paths import command_line
from otlp_tracing.sidecar.spool.spool import NOT_OPEN_YET

_UP_SECONDS = 60.0
_END_SECONDS = 60.0  # how soon it has to be is for a test to say
_LOG_LINES = 60


class Sidecar:
    """One sidecar after another, at the same socket, port and spool. Use it with `with`, which starts it.

    Args:
        folder: for socket, spool and log; a short path, sockets have room for 107 characters.
        spool: another folder for the spool.
        environment: variables beside those of this process.
        wrapper: a command that runs the one that follows it.
        started: called with the pid after each start, before it serves.
    """

    def __init__(
        self,
        folder: Path,
        spool: Path | None = None,
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
        started: Callable[[int], None] | None = None,
    ) -> None:
        self.folder = folder
        self.socket = folder / "run" / "sidecar.sock"
        self.spool = spool or folder / "spool"
        self.url = f"http://{HOST}:{free_port()}"
        self.gone: Counter[tuple[str, str]] = Counter()  # (destination, why): spans that earlier lives counted
        self._environment = dict(environment or {})
        self._wrapper = wrapper
        self._started = started
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "sidecar.log"

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """It runs."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start it; returns at once."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTLP_"))}
        command = command_line(
            *("sidecar", "--listen", str(self.socket)),
            *("--http", self.url.removeprefix("http://")),
            *("--spool", str(self.spool)),
        )
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._wrapper, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=inherited | self._environment,
            )
        if self._started:
            self._started(self._process.pid)

    def wait_until_ready(self, seconds: float = _UP_SECONDS) -> float:
        """Wait until /readyz says so, and the spool was opened or cannot be; return the seconds it took."""
        begun = time.monotonic()
        wait_for(lambda: self.ready(NOT_OPEN_YET) or not self.alive, seconds, f"the sidecar is ready:\n{self.tail()}")
        assert self.alive, self.tail()
        return time.monotonic() - begun

    def start(self) -> float:
        """Start it and wait until it is ready; return the seconds it took, but for those without a core."""
        begun = time.monotonic()
        self.launch()
        self.wait_until_ready()
        ended = time.monotonic()
        return ended - begun - heartbeat().missed(begun, ended) - waited_seconds(self.pid)

    def ready(self, but_for: str | None = None) -> bool:
        """Ask /readyz; unless it says `but_for`."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            answer = fetch(self.url, "/readyz")
            return answer.status == 200 and (but_for is None or but_for not in answer.text())
        return False

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._keep_books()
        self.signal(signal.SIGKILL)
        self.wait()

    def terminate(self) -> float:
        """SIGTERM; return the seconds until its end, which must be a good one."""
        self._keep_books()
        begun = time.monotonic()
        self.signal(signal.SIGTERM)
        code = self.wait()
        ended = time.monotonic()
        assert code == 0, f"exit code {code}\n{self.tail()}"
        return ended - begun - heartbeat().missed(begun, ended)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGSTOP for as long as the block runs."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def figures(self) -> Figures:
        """Return memory, threads and descriptors."""
        return figures(self.pid)

    def metrics(self) -> str:
        """Return the /metrics page."""
        answer = fetch(self.url, "/metrics")
        assert answer.status == 200
        return answer.text()

    def books(self, destination: str) -> Books:
        """Return the books of a destination, as /metrics has them now."""
        return read_books(self.metrics(), destination)

    def given_up(self, destination: str) -> int:
        """Return the spans counted as dropped or rejected, over all lives as far as `kill` could look."""
        now = self.books(destination) if self.alive else Books()
        return sum(now.lost.values()) + sum(n for (name, _), n in self.gone.items() if name == destination)

    @property
    def is_degraded(self) -> bool:
        """The disk does not take spans."""
        return samples(self.url, "otlp_tracing_spool_degraded") > 0

    def spool_bytes(self) -> int:
        """Return the bytes of the spool's files."""
        total = 0
        for path in self.spool.rglob("*"):
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        assert self._process is not None
        return self._process.wait(_END_SECONDS)

    def log(self) -> str:
        """Return its log."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def tail(self) -> str:
        """Return the end of that."""
        return "\n".join(self.log().splitlines()[-_LOG_LINES:])

    def __enter__(self) -> Sidecar:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if kind:
            print(self.tail())

    def close(self) -> None:
        """End it, however."""
        if self.alive:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self.wait()

    def _keep_books(self) -> None:
        with contextlib.suppress(OSError, AssertionError, IndexError, ValueError):
            page = self.metrics()
            for destination in destinations(page):
                for why, spans in read_books(page, destination).lost.items():
                    self.gone[destination, why] += spans
