"""The stack's foreign programs: where each comes from, and each as a process with a log."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from e2e.processes import end

Find = Callable[[], Path]

_HERE = Path(__file__).parent
_STOP_SECONDS = 10.0


class ProgramMissing(Exception):
    """A missing program. The message says how to get it.

    Args:
        message: for a person without it.
        package: of Debian, that brings it, if one does.
    """

    def __init__(self, message: str, *, package: str | None = None) -> None:
        super().__init__(message)
        self.packages = () if package is None else (package,)


def collector() -> Path:
    """Return the Collector with every component that kong/collector/ names, built at the first time.

    Raises:
        ProgramMissing: Go is missing, or the build failed.
    """
    build = _HERE.parent / "e2e" / "collector" / "build.sh"
    return _built(build, str(_HERE / "collector" / "builder.yaml"))


def datadog_collector() -> Path:
    """Return a Collector that contains the Datadog exporter, built at the first time.

    Raises:
        ProgramMissing: Go is missing, or the build failed.
    """
    build = _HERE.parent / "e2e" / "collector" / "build.sh"
    return _built(build, str(_HERE / "collector" / "datadog.yaml"))


def jaeger() -> Path:
    """Return Jaeger 2, built at the first time.

    Raises:
        ProgramMissing: Go is missing, or the build failed.
    """
    return _built(_HERE / "jaeger" / "build.sh")


def prometheus() -> Path:
    """Return Prometheus.

    Raises:
        ProgramMissing: it is not installed.
    """
    return _installed("prometheus", "prometheus")


def alertmanager() -> Path:
    """Return Alertmanager.

    Raises:
        ProgramMissing: it is not installed.
    """
    names = ("prometheus-alertmanager", "alertmanager")  # Debian's name, everyone else's
    found = next((name for name in names if shutil.which(name)), names[1])
    return _installed(found, "prometheus-alertmanager")


class Program:
    """A process that runs until the block ends. Use it with `with`.

    Args:
        command: program and arguments.
        log: receives its output.
        environment: added to the environment of this process.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._command = command
        self.log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ended(self) -> bool:
        """Tell whether it does not run, whatever the reason."""
        return self._process is None or self._process.poll() is not None

    def tail(self) -> str:
        """Return the end of its output."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(self._command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )

    def stop(self) -> None:
        """Stop it; may be called twice."""
        if self._process is not None:
            end(self._process, _STOP_SECONDS)
            self._process = None

    def __enter__(self) -> Program:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _built(script: Path, *arguments: str) -> Path:
    built = subprocess.run(["/bin/sh", str(script), *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode:
        raise ProgramMissing(f"{script.name} in {script.parent.name}/ failed; its messages are above")
    return Path(built.stdout.strip())


def _installed(name: str, package: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise ProgramMissing(f"{name} is not installed; on Debian: apt install {package}", package=package)
    return Path(found)
