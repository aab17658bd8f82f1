"""Promises of folders.py."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from otlp_tracing import folders
from otlp_tracing.folders import give_command, make_private, mending_command, reason, reason_in


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_new_folders_are_private(tmp_path: Path, mask: int) -> None:
    """Each on the way, whatever the umask; those that exist are left as they are."""
    tmp_path.chmod(0o755)
    before = os.umask(mask)
    try:
        make_private(tmp_path / "a" / "b")
        make_private(tmp_path / "a")
    finally:
        os.umask(before)

    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("", "a", "a/b")]
    assert modes == [0o755, 0o700, 0o700]


@pytest.mark.parametrize("name", ["file", "file/below", "link"])
def test_something_else_is_no_folder(tmp_path: Path, name: str) -> None:
    """A file in the way is named, and so is a link that leads nowhere."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError) as raised:  # noqa: PT011 - of two kinds
        make_private(tmp_path / name)

    assert (
        reason(tmp_path / name, raised.value)
        == f"{tmp_path / name.split('/', maxsplit=1)[0]} is not a folder; move it away"
    )


def test_the_owner_and_the_command_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is the first that may not be entered, or the last one, which may not be written to."""
    place = tmp_path / "a folder" / "spool" / "spool.db"
    place.parent.mkdir(parents=True)
    denied = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(folders, "_owner", lambda _: "root")
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.X_OK or Path(path) != place.parent)

    there = f"{place.parent} belongs to root, and this process runs as 54321; run: chown 54321 '{place.parent}'"
    assert reason(place, denied) == there
    assert mending_command(place, denied) == f"chown 54321 '{place.parent}'"
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    assert reason(place, denied).endswith("; name a place that 54321 may use")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert reason(place, denied).endswith("; start it as that user")
    assert mending_command(place, denied) == mending_command(place, OSError(errno.EROFS, "read-only")) == ""


@pytest.mark.parametrize(
    ("existing", "folder", "command"),
    [
        ("", "data/spans", "install -d -m 700 -o 54321 {root}/data/spans"),
        ("otlp-tracing", "otlp-tracing/spool", "chown -R 54321 {root}/otlp-tracing"),
        ("otlp-tracing/spool", "otlp-tracing/spool", "chown -R 54321 {root}/otlp-tracing/spool"),
        ("kong", "kong", "chown 54321 {root}/kong"),
    ],
)
def test_no_command_gives_the_files_of_others_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: str, folder: str, command: str
) -> None:
    """A missing folder is made; what a folder holds changes its owner only if the folder is the program's own."""
    (tmp_path / existing).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "access", lambda _, mode: mode == os.X_OK)
    for filename in (str(tmp_path / folder.partition("/")[0]), str(tmp_path / folder), None):
        denied = PermissionError(errno.EACCES, "Permission denied", filename)

        assert reason_in(tmp_path / folder, denied).endswith("; run: " + command.format(root=tmp_path))


@pytest.mark.parametrize(
    ("folder", "mend"),
    [
        ("/missing/spans", "run: install -d -m 700 -o 54321 /missing/spans"),
        ("/var/lib/missing/spool", "run: install -d -m 700 -o 54321 /var/lib/missing/spool"),
        ("/var/lib", "name a place that 54321 may use"),
        ("/", "name a place that 54321 may use"),
    ],
)
def test_a_folder_of_the_system_keeps_its_owner(monkeypatch: pytest.MonkeyPatch, folder: str, mend: str) -> None:
    """A command that is pasted into a shell of root breaks no machine."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "access", lambda _, mode: mode == os.X_OK)

    assert reason_in(Path(folder), PermissionError(errno.EACCES, "Permission denied")).endswith(f"; {mend}")


def test_the_contents_of_other_folders_keep_their_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of the folder that the program is installed in, and of those around it."""
    installed, own = tmp_path / "local" / "otlp-tracing", tmp_path / "kong" / "otlp-tracing.run"
    for folder in (installed / "bin", own):
        folder.mkdir(parents=True)
    (own / "s.sock").touch()
    monkeypatch.setattr(sys, "prefix", str(installed))
    commands = [
        give_command(path, "kong") for path in (installed, installed / "bin", installed.parent, own, own / "s.sock")
    ]

    assert commands == [
        f"chown kong {installed}", f"chown kong {installed}/bin", f"chown kong {installed.parent}",
        f"chown -R kong {own}", f"chown kong {own}/s.sock",
    ]  # fmt: skip
    assert [give_command(Path(path), "kong") for path in ("/", "/run", "/var/lib")] == ["", "", ""]


def test_other_errors_are_the_systems(tmp_path: Path) -> None:
    """A read-only file system has a remedy of its own; others have the system's words."""
    assert reason(tmp_path / "a", OSError(errno.EROFS, "Read-only file system")) == (
        f"{tmp_path} is on a read-only file system; mount it writable"
    )
    assert reason(tmp_path, OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"
    assert reason(tmp_path, OSError("AF_UNIX path too long")) == "AF_UNIX path too long"


def test_an_error_at_a_descriptor_is_one_in_the_folder(tmp_path: Path) -> None:
    """fstat(2) and fsync(2) name a number in the place of a path."""
    assert reason_in(tmp_path, OSError(errno.EIO, "Input/output error", 7)) == "Input/output error"
