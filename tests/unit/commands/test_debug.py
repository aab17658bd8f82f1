"""Promises of commands/debug.py, held against a socket that a test answers on."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from otlp_tracing.cli import main
from otlp_tracing.commands.debug import debug
from otlp_tracing.errors import ConfigError
from otlp_tracing.handoff.frames import Ack, Debug, Decoder, Frame, encode

SESSION = Debug(b'{"tags": ["a"]}', 300, 2)


@contextmanager
def sidecar(path: Path, *answers: int) -> Iterator[list[Frame]]:
    """A sidecar that takes one session, answers with these numbers, and closes the connection."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames: list[Frame] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(10)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                decoder = Decoder()
                while len(frames) < 2:
                    frames.extend(decoder.feed(connection.recv(4096)))
                connection.sendall(b"".join(encode(Ack(number)) for number in answers))

        thread = threading.Thread(target=serve)
        thread.start()
        yield frames
        thread.join(10)


def test_it_shows_each_request_until_the_end(tmp_path: Path) -> None:
    """The session is as it was asked for."""
    lines: list[str] = []
    with sidecar(tmp_path / "s.sock", 0, 1, 2) as frames:
        assert debug(tmp_path / "s.sock", SESSION, lines.append) == 0

    assert frames[1] == SESSION
    assert lines[0] == "keeping up to 2 requests for 5 minutes …"
    assert [line.partition(",")[0] for line in lines[1:]] == [
        "1 of 2 kept",
        "2 of 2 kept",
        "the session has ended: 2 requests kept",
    ]


def test_a_refused_session_is_one_sentence(tmp_path: Path) -> None:
    """The sidecar closes the connection without an answer."""
    with sidecar(tmp_path / "s.sock"), pytest.raises(ConfigError, match="another debug session is running"):
        debug(tmp_path / "s.sock", SESSION)


def test_nobody_there_is_one_sentence(tmp_path: Path) -> None:
    """With the path that was tried."""
    with pytest.raises(ConfigError, match=r"--sidecar = .*s\.sock: no sidecar answers there: No such file"):
        debug(tmp_path / "s.sock", SESSION)


def test_the_options_are_conditions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a policy has them; the socket is in Kong's prefix, and the sender is the person behind sudo."""
    monkeypatch.setenv("SUDO_USER", "jane")
    options = ["--consumer", "a", "--consumer", "b", "--status", "5", "--header", "x-plan: *", "--minutes", "2"]
    with sidecar(tmp_path / "otlp-tracing" / "sidecar.sock", 0) as frames:
        assert main(["debug", "--kong-prefix", str(tmp_path), *options]) == 0

    assert isinstance(frames[1], Debug)
    match: dict[str, Any] = json.loads(frames[1].match)
    assert match == {"consumers": ["a", "b"], "statuses": [5], "headers": ["x-plan: *"]}
    assert (frames[1].seconds, frames[1].requests) == (120, 100)
    assert frames[1].sender == f"jane, process {os.getpid()}"
    assert "the session has ended, because the sidecar has: 0 requests kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ([], "debug: needs a condition, such as --consumer NAME"),
        (["--status", "6"], "--status = 6: must be a status such as 404, or a class from 1 to 5"),
        (["--status", "9" * 5000], "--status"),
        (["--status", "999"], "--status = 999: must be between 1 and 599"),
        (["--status", "ok"], '--status = "ok": must be an integer'),
        (["--method", "get"], "--method"),
        (["--path", "~("], "--path: must be regular expressions that RE2 accepts"),
        (["--path", "/", "--minutes", "31"], "--minutes = 31: must be 1 to 30"),
        (["--path", "/", "--requests", "0"], "--requests = 0: must be 1 to 10000"),
    ],
)
def test_a_wrong_condition_names_its_option(options: list[str], fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is asked."""
    assert main(["debug", *options]) == 2
    assert fault in capsys.readouterr().err
