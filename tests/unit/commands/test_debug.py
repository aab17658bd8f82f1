"""Promises of commands/debug.py, held against a socket that a test answers on."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from otlp_tracing.cli import main
from otlp_tracing.commands.debug import debug
from otlp_tracing.errors import ConfigError
from otlp_tracing.handoff.frames import Ack, Debug, Decoder, Frame, encode

SESSION = Debug(b'{"tags": ["a"]}', 300, 2)


@contextmanager
def sidecar(path: Path, *answers: int, uid: int | None = None) -> Iterator[list[Frame]]:
    """A sidecar that takes one session, answers with these numbers, and closes the connection.

    Args:
        path: of its socket.
        answers: the numbers.
        uid: its user; None for this process's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    frames: list[Frame] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        if uid is not None:
            os.seteuid(uid)  # the kernel remembers the user of this call
        listener.listen()
        os.seteuid(os.getuid())
        listener.settimeout(10)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                decoder = Decoder()
                with suppress(ConnectionError):
                    while len(frames) < 2 and (data := connection.recv(4096)):
                        frames.extend(decoder.feed(data))
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's place")
def test_root_speaks_to_the_sidecar_of_another_user(tmp_path: Path) -> None:
    """If this user alone can have put the socket there, as in Kong's prefix."""
    folder = tmp_path / "otlp-tracing"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    lines: list[str] = []
    with sidecar(folder / "s.sock", 0, 1, 2, uid=65534):
        assert debug(folder / "s.sock", SESSION, lines.append) == 0

    assert lines[-1] == "the session has ended: 2 requests kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's place")
@pytest.mark.parametrize(("owner", "mode"), [(0, 0o700), (65534, 0o777), (65534, 0o770), (1, 0o700)])
def test_a_socket_of_somebody_else_gets_nothing(tmp_path: Path, owner: int, mode: int) -> None:
    """If others could have put the socket there; the sentence names the user to be."""
    folder = tmp_path / "otlp-tracing"
    folder.mkdir()
    os.chown(folder, owner, owner)
    folder.chmod(mode)
    says = r"the sidecar runs as nobody, .*; run: runuser -u nobody -- \S*/otlp-tracing debug OPTIONS"
    with sidecar(folder / "s.sock", 0, uid=65534) as frames, pytest.raises(ConfigError, match=says):
        debug(folder / "s.sock", SESSION)

    assert frames == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's place")
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_another_user_is_told_the_owner(mode: int) -> None:
    """Neither the socket nor, with the usual mode, its folder can be opened by another user."""
    # Others may enter the parents, unlike those of tmp_path.
    with tempfile.TemporaryDirectory() as parent, socket.socket(socket.AF_UNIX) as listener:
        Path(parent).chmod(0o755)
        folder = Path(parent, "otlp-tracing")
        folder.mkdir()
        listener.bind(str(folder / "s.sock"))
        (folder / "s.sock").chmod(0o600)
        folder.chmod(mode)
        os.seteuid(65534)
        try:
            with pytest.raises(ConfigError, match=r"belongs to root, and this process runs as nobody; run it as root$"):
                debug(folder / "s.sock", SESSION)
        finally:
            os.seteuid(0)


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
