"""Promises of sidecar/tail/last_good_policy.py."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.tail.last_good_policy import NAME, LastGood, PolicyCopy

FILE = Path("/etc/policies.yml")
VERSION = LastGood(b"policies: []\n# \xff\n", 1_000.5)


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        PolicyCopy(folder, FILE).read()
    return str(raised.value)


def test_a_copy_is_read_as_it_was_written(tmp_path: Path) -> None:
    """By its owner alone, and without a trace of the writing."""
    copy = PolicyCopy(tmp_path, FILE)
    assert copy.read() is None
    copy.write(LastGood(b"old", 1.0))
    copy.write(VERSION)

    assert copy.read() == VERSION
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    copy.remove()
    copy.remove()
    assert copy.read() is None


def test_no_folder_is_no_copy() -> None:
    """Where nothing is stored on disk."""
    copy = PolicyCopy(None, FILE)
    copy.write(VERSION)
    copy.remove()

    assert copy.read() is None


def test_a_damaged_copy_is_refused(tmp_path: Path) -> None:
    """Cut anywhere, with any byte of the content changed, or with a head of wrong types."""
    PolicyCopy(tmp_path, FILE).write(VERSION)
    path = tmp_path / NAME
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert refusal(tmp_path) == "its copy is damaged"
    for number in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:number] + bytes((whole[number] ^ 1,)) + whole[number + 1 :])
        assert refusal(tmp_path) == "its copy is damaged"
    head = json.loads(whole.partition(b"\n")[0])
    for wrong in ({"applied_unix": -1}, {"applied_unix": 1e300}, {"applied_unix": "x"}, {"file": 5}, {"sha256": None}):
        path.write_bytes(json.dumps(head | wrong).encode() + b"\n" + VERSION.content)
        assert refusal(tmp_path) == "its copy is damaged"
    path.write_bytes(b"[" * 200_000 + b"\n")
    assert refusal(tmp_path) == "its copy is damaged"


def test_a_copy_that_others_may_write_is_refused(tmp_path: Path) -> None:
    """Nor is a link followed, nor a pipe waited for."""
    PolicyCopy(tmp_path, FILE).write(VERSION)
    path = tmp_path / NAME
    path.chmod(0o620)
    assert refusal(tmp_path) == "its copy may be written by other users"

    path.rename(tmp_path / "other")
    path.symlink_to(tmp_path / "other")
    assert refusal(tmp_path).startswith("its copy cannot be read: ")
    path.unlink()
    os.mkfifo(path, 0o600)
    assert refusal(tmp_path) == "its copy is not a file of this user"


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """After a minute: another sidecar may be writing, while Kong reloads."""
    old, new = tmp_path / f"{NAME}.old", tmp_path / f"{NAME}.new"
    for path in (old, new):
        path.touch()
    os.utime(old, (time.time() - 100, time.time() - 100))
    PolicyCopy(tmp_path, FILE).write(VERSION)

    assert (old.exists(), new.exists()) == (False, True)


def test_a_folder_that_takes_no_file_is_one_sentence(tmp_path: Path) -> None:
    """With the path of the copy."""
    with pytest.raises(OSError, match=r"none/policies\.last-good: No such file"):
        PolicyCopy(tmp_path / "none", FILE).write(VERSION)
