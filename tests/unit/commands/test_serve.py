"""Promises of commands/serve.py; tests/e2e/ and tests/faults/ run it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from otlp_tracing.cli import main, parse
from otlp_tracing.commands import options
from otlp_tracing.commands.worker_options import WorkerOptions
from otlp_tracing.kong_server import supervisor
from otlp_tracing.kong_server.supervisor import Child


def test_the_pages_token_is_read_before_the_socket_is_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token that the sidecar would refuse ends `serve`, which would otherwise start the sidecar once a second."""
    monkeypatch.setenv("OTLP_TRACING_PAGE_TOKEN", "short")

    assert main(["serve", "--kong-prefix", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("otlp-tracing: OTLP_TRACING_PAGE_TOKEN: must hold a token")
    assert list(tmp_path.iterdir()) == []


def test_a_socket_that_is_no_socket_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`serve` names the file in the way."""
    (tmp_path / "otlp-tracing.socket").write_text("mine")

    assert main(["serve", "--kong-prefix", str(tmp_path)]) == 2
    assert "--socket-name" in capsys.readouterr().err
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(str(tmp_path / "otlp-tracing.socket"))


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    """The children that `serve` would have started."""
    started: list[Child] = []

    def supervise(children: Sequence[Child], *_: object, **__: object) -> None:
        started.extend(children)

    monkeypatch.setattr(supervisor, "supervise", supervise)
    return started


def test_a_mistyped_option_does_not_take_the_gateway_down(
    tmp_path: Path, children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --on-fault continue the default counts, and one worker counts each option that was refused."""
    monkeypatch.setenv("OTLP_TRACING_WORKERS", "2x")
    monkeypatch.setenv("OTLP_TRACING_TRACE_URL", "http://jaeger/trace")
    monkeypatch.setenv("OTLP_TRACING_LOG_LEVEL", "loud")

    assert main(["serve", "--on-fault", "continue", "--kong-prefix", str(tmp_path), "--http", "banana"]) == 0

    *workers, sidecar = children
    refused = [WorkerOptions.from_json(child.command[-3]).refused for child in workers]
    assert sorted(refused[0]) == ["--http", "OTLP_TRACING_LOG_LEVEL", "OTLP_TRACING_TRACE_URL", "OTLP_TRACING_WORKERS"]
    assert not any(refused[1:])
    assert {"--http=127.0.0.1:9464", "--trace-url=", "--log-level=info"} <= set(sidecar.command)
    assert not sidecar.environment


@pytest.mark.parametrize("variable", ["OTLP_TRACING_PAGE_TOKEN", "OTLP_TRACING_PAGE_TOKEN_FILE"])
def test_a_token_that_cannot_be_used_opens_no_page(
    tmp_path: Path, children: list[Child], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The sidecar runs with a token that no client has: nothing is shown that the token was to protect."""
    monkeypatch.setenv(variable, "short")

    arguments = ["--kong-prefix", str(tmp_path), "--http", "0.0.0.0:9464", "--page", "on"]
    assert main(["serve", "--on-fault", "continue", *arguments]) == 0

    sidecar = children[-1]
    assert len(sidecar.environment["OTLP_TRACING_PAGE_TOKEN"]) == 32
    assert "--page-token-file=" in sidecar.command


@pytest.mark.parametrize(
    ("names", "is_kong"),
    [
        (["nginx"], True),
        (["sh", "nginx"], True),
        (["bash", "sshd", "nginx"], False),
        (["a) (nginx", "x"], False),
        ([], False),
    ],
)
def test_kong_is_recognized_by_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], is_kong: bool
) -> None:
    """It starts `serve` itself, and `dump` through a shell."""
    for number, name in enumerate(names):
        pid = os.getppid() if number == 0 else 10 + number
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {11 + number} 1 1")
    monkeypatch.setattr(options, "Path", lambda _, *parts: tmp_path.joinpath(*parts))

    assert options.is_started_by_kong() is is_kong
    assert parse(["serve"]).on_fault == "auto"


def test_records_are_not_taken_without_a_token(
    tmp_path: Path, children: list[Child], capsys: pytest.CaptureFixture[str]
) -> None:
    """`serve` says how to give one; where Kong has started it, the listener stays off and the rest runs."""
    arguments = ["serve", "--kong-prefix", str(tmp_path), "--ingest-http", "127.0.0.1:9465"]

    assert main(arguments) == 2
    assert "--ingest-token-file" in capsys.readouterr().err
    assert main([*arguments, "--on-fault", "continue"]) == 0
    assert "--ingest-http=off" in children[-1].command


def test_root_does_not_take_the_place_of_another_users_server(
    tmp_path: Path, children: list[Child], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kong's workers could not connect to root's socket: a root shell is refused, and Kong's own start goes on."""
    (tmp_path / "otlp-tracing").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    if os.getuid() == 0:
        os.chown(tmp_path / "otlp-tracing", 65534, 65534)

    assert main(["serve", "--kong-prefix", str(tmp_path), "--on-fault", "stop"]) == 2
    assert "runuser -u" in capsys.readouterr().err
    assert children == []
    assert not (tmp_path / "otlp-tracing.socket").exists()
    assert main(["serve", "--kong-prefix", str(tmp_path), "--on-fault", "continue"]) == 0
    assert children
