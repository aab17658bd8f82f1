"""Promises of `serve` as a process, with its workers and its sidecar: what a mistake leaves running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e.ports import free_port
from e2e.waiting import wait_for
from otlp_tracing.commands.probe import ask_plugin_server
from otlp_tracing.errors import WireError

_SECONDS = 30.0


class Served:
    """A `serve` of one worker that runs in a prefix."""

    def __init__(self, prefix: Path, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.prefix = prefix
        self.port = port
        self.process = process
        self._log = log

    def answers(self) -> bool:
        """Tell whether a worker answers at Kong's socket."""
        try:
            ask_plugin_server(self.prefix / "otlp-tracing.socket")
        except (OSError, WireError):
            return False
        return True

    def report(self, path: str) -> Any:
        """Return a report of its sidecar; None while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def warnings(self, text: str) -> list[dict[str, Any]]:
        """Return the lines of /log that have a text in them."""
        return [one for one in (self.report("/log") or {"lines": []})["lines"] if text in one["text"]]

    def wait(self) -> None:
        """Wait until it answers."""
        wait_for(self.answers, _SECONDS, "the plugin server answers")

    def log(self) -> str:
        """Return its output."""
        return self._log.read_text()


@contextmanager
def serve(
    prefix: Path, *options: str, user: Sequence[str] = (), environment: dict[str, str] | None = None
) -> Iterator[Served]:
    """Run `serve`, with `--on-fault continue` as an image does.

    Args:
        prefix: Kong's.
        options: further ones.
        user: options of setpriv.
        environment: added to ours.
    """
    log = prefix.parent / "serve.log"
    port = free_port()
    as_user = ("setpriv", *user, "--clear-groups") if user else ()
    command = [
        *(*as_user, sys.executable, "-m", "otlp_tracing", "serve", "--on-fault", "continue", "--workers", "1"),
        *("--kong-prefix", str(prefix), "--http", f"127.0.0.1:{port}", *options),
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(environment or {})})
    try:
        yield Served(prefix, port, process, log)
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    folder = tmp_path / "kong"
    folder.mkdir()
    return folder


def test_the_supervisors_warnings_reach_the_sidecar(prefix: Path) -> None:
    """An option that was refused is at /log, with the process that said so, and in the file of all processes."""
    file = prefix / "log"
    environment = {"OTLP_TRACING_TRACE_URL": "http://jaeger/trace", "OTLP_TRACING_LOG_FILE": str(file)}
    with serve(prefix, environment=environment) as served:
        served.wait()
        (line,) = wait_for(lambda: served.warnings("OTLP_TRACING_TRACE_URL"), _SECONDS, "the warning is at /log")

        assert line["process"] == "serve"
        assert line["text"] in file.read_text()
        for text in ("worker 0 serves", "taking records"):
            wait_for(lambda: text in file.read_text(), _SECONDS, "every process writes to the file")  # noqa: B023
        assert line["text"] in [one["text"] for one in served.report("/delivery")["warnings"]]
