"""Promises of logs/file.py."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otlp_tracing.logs import file
from otlp_tracing.logs.file import CONTAINER, LogFile


def log(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("otlp_tracing.test")
    logger.addHandler(handler)
    return logger


def test_the_file_is_bounded(tmp_path: Path) -> None:
    """A full file is kept with `.1` at its end, and the one before it is gone: two files, whatever is logged."""
    path = tmp_path / "log"
    handler = LogFile(str(path), max_bytes=1000)
    logger = log(handler)
    for number in range(100):
        logger.warning("line %d", number)
    handler.close()

    assert sorted(one.name for one in tmp_path.iterdir()) == ["log", "log.1"]
    assert all(one.stat().st_size <= 1000 for one in tmp_path.iterdir())
    lines = (tmp_path / "log.1").read_text().splitlines() + path.read_text().splitlines()
    assert lines[-1].endswith(f"otlp-tracing[{os.getpid()}] WARNING otlp_tracing.test: line 99")
    assert [int(line.rpartition(" ")[2]) for line in lines] == list(range(100 - len(lines), 100))
    assert path.stat().st_mode & 0o777 == 0o600


def test_processes_share_a_file(tmp_path: Path) -> None:
    """No line of several processes is lost or torn where one of them renames the file."""
    path = tmp_path / "log"
    code = (
        "import logging, sys; from otlp_tracing.logs.file import LogFile\n"
        "logger = logging.Logger('x'); logger.addHandler(LogFile(sys.argv[1], 20_000))\n"
        "for number in range(100): logger.warning('%s %d', sys.argv[2], number)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "abc"]
    assert [one.wait(30) for one in processes] == [0, 0, 0]

    lines = [line for one in sorted(tmp_path.iterdir(), reverse=True) for line in one.read_text().splitlines()]
    assert sorted(line.split("x: ")[1] for line in lines) == sorted(f"{name} {n}" for name in "abc" for n in range(100))


def test_a_file_that_was_moved_is_made_again(tmp_path: Path) -> None:
    """As logrotate does it."""
    path = tmp_path / "log"
    handler = LogFile(str(path))
    log(handler).warning("before")
    path.rename(tmp_path / "old")
    log(handler).warning("after")
    handler.close()

    assert path.read_text().endswith("after\n")


def test_a_file_that_was_moved_is_written_until_there_is_another(tmp_path: Path) -> None:
    """No line is lost in the moment in which logrotate has moved the file, and its folder belongs to root."""
    path = tmp_path / "folder" / "log"
    path.parent.mkdir()
    handler = LogFile(str(path))
    path.parent.rename(tmp_path / "old")  # so that no file can be made at the path
    log(handler).warning("between")
    path.parent.mkdir()
    log(handler).warning("after")
    handler.close()

    assert (tmp_path / "old" / "log").read_text().endswith("between\n")
    assert path.read_text().endswith("after\n")


def test_a_full_pipe_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines are dropped while the reader of the container's output is stopped, and written again after it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    monkeypatch.setattr(file, "_CONTAINER_PATH", pipe)
    handler = LogFile(CONTAINER)
    logger = log(handler)
    for _ in range(2000):
        logger.warning("x" * 100)
    while True:
        try:
            os.read(reader, 1 << 16)
        except BlockingIOError:
            break
    logger.warning("after")

    assert os.read(reader, 1000).endswith(b"after\n")
    assert not handler.is_stderr()
    handler.close()
    os.close(reader)
