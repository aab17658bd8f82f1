"""Promises of `otlp-tracing demo` to a person that watches it and ends it with Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.client import fetch
from e2e.processes import alive, descendants
from e2e.waiting import wait_for
from otlp_tracing.paths import command_line

pytestmark = pytest.mark.timeout(240)

_PERFORM_SECONDS = 60.0  # seven processes and twenty traces, on a machine that may be busy
_END_SECONDS = 20.0


@dataclass(frozen=True)
class RunningDemo:
    """The demo, the file that it writes to, and the ids of its processes, once they have been looked for."""

    process: subprocess.Popen[bytes]
    _output: Path
    started: list[int] = field(default_factory=list)

    def output(self) -> str:
        """Return its output as one line."""
        return " ".join(self._output.read_text().split())

    def family(self) -> list[int]:
        """Return the ids of the processes that it started."""
        return [process.pid for process in descendants(self.process.pid)]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[RunningDemo]:
    """Give a demo that was just started. Its remaining processes are killed at the end."""
    output = tmp_path / "output"
    keyboard, terminal = pty.openpty()
    with output.open("wb") as log, open(terminal, "rb", closefd=True) as stdin:
        process = subprocess.Popen(command_line("demo"), stdin=stdin, stdout=log, stderr=log)
    running = RunningDemo(process, output)
    yield running

    os.close(keyboard)

    for pid in [*running.started, *running.family(), process.pid]:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def test_the_demo_goes_on_until_ctrl_c(demo: RunningDemo) -> None:
    """Requests continue after the first ones while the page answers; Ctrl-C ends all of it, and is no failure."""
    wait_for(lambda: "Ctrl-C ends it." in demo.output(), _PERFORM_SECONDS, "the demo says how it is ended")
    steady = re.search(r"watched at (http://\S+)/ as well; Ctrl-C ends it\.", demo.output())
    assert steady
    wait_for(lambda: " 200 " in demo.output()[steady.end() :], _PERFORM_SECONDS, "a request after the first ones")
    page = fetch(steady[1], "/")
    demo.started.extend(demo.family())

    demo.process.send_signal(signal.SIGINT)

    assert demo.process.wait(_END_SECONDS) == 0
    counts = re.search(r"received (\d+), exported (\d+), dropped 0\.", demo.output())
    assert counts
    assert counts[1] == counts[2]  # the summary waits for the spans that are on their way
    assert (page.status, "<title>" in page.text()) == (200, True)
    assert len(demo.started) >= 5
    # Workers are killed with their session; the kernel may take a moment for that.
    wait_for(lambda: not any(map(alive, demo.started)), _END_SECONDS, "no process is left")
