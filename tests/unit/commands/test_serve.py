"""Promises of commands/serve.py; tests/e2e/ and tests/faults/ run it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from otlp_tracing.cli import main
from otlp_tracing.commands.serve import WorkerOptions


def test_a_workers_options_survive_the_command_line() -> None:
    """Descriptors, the socket and its identity are read as they were written, in one argument."""
    options = WorkerOptions(1, 3, 4, [5, 6], [7, 8], "/a b/s", (64, 1234567), 1, "/plugins")
    child = options.child("--log-level=info", {"A": "1"})

    assert child.command[-3] == "worker"
    assert WorkerOptions.from_json(child.command[-2]) == options
    assert child.descriptors == [3, 4, 5, 6, 7, 8]


def test_the_pages_token_is_read_before_the_socket_is_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token that the sidecar would refuse ends `serve`, which would otherwise start the sidecar once a second."""
    monkeypatch.setenv("OTLP_TRACING_PAGE_TOKEN", "short")

    assert main(["serve", "--kong-prefix", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("otlp-tracing: OTLP_TRACING_PAGE_TOKEN: must hold a token")
    assert list(tmp_path.iterdir()) == []


def test_a_socket_that_is_no_socket_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`serve` says what is in the way."""
    (tmp_path / "otlp-tracing.socket").write_text("mine")

    assert main(["serve", "--kong-prefix", str(tmp_path)]) == 2
    assert "--socket-name" in capsys.readouterr().err
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(str(tmp_path / "otlp-tracing.socket"))
