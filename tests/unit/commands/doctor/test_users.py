"""Promises of commands/doctor/users.py, and of the findings about paths that Kong's user may not use."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from other_users import needs_root, open_folder
from otlp_tracing.commands.doctor.discovery import Surroundings, look_around
from otlp_tracing.commands.doctor.findings import Finding
from otlp_tracing.commands.doctor.kong_questions import ask_kong_conf
from otlp_tracing.commands.doctor.plugin_server_questions import ask_socket
from otlp_tracing.commands.doctor.processes import Process, running
from otlp_tracing.commands.doctor.users import User

NOBODY = 65534
WORKER = Process(2, 1, NOBODY, ("nginx: worker process",), frozenset({NOBODY}))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder on a way that every user may enter."""
    with open_folder() as path:
        yield path


def kong_in(folder: Path, program: Path) -> Surroundings:
    """Return the surroundings of a Kong: the process of a worker, and a kong.conf with this start command."""
    conf = folder / "kong.conf"
    conf.write_text(
        f"prefix = {folder}/kong\nplugins = bundled,otlp-tracing\npluginserver_names = otlp-tracing\n"
        f"pluginserver_otlp_tracing_query_cmd = false\npluginserver_otlp_tracing_start_cmd = {program} serve\n"
        f"pluginserver_otlp_tracing_socket = {folder}/kong/otlp-tracing.run/s.sock\n"
    )
    found = look_around(prefix=None, kong_conf=conf, address=None, token=None)
    return replace(found, kong=Process(1, 0, 0, ("nginx: master process",)), kong_worker=WORKER)


def starts(program: Path) -> bool:
    """Tell whether the user of Kong's workers can execute a program."""
    try:
        done = subprocess.run([program], check=False, user=NOBODY, group=NOBODY, extra_groups=[])
    except PermissionError:
        return False
    return done.returncode == 0


def of_start(found: Surroundings) -> list[Finding]:
    """Return the failures of the start command."""
    return [one for one in ask_kong_conf(found) if one.level == "FAIL" and "cannot be started by nobody" in one.text]


@needs_root
@pytest.mark.parametrize("closed", ["home", "home/pythons", "linked"])
def test_a_program_that_kongs_user_cannot_execute_is_found(folder: Path, closed: str) -> None:
    """A venv below the home of root, or its Python: the finding names the first closed folder, the command opens it."""
    venv, pythons, linked = folder / "home" / "venv", folder / "home" / "pythons", folder / "linked"
    for one in (venv, pythons, linked):
        one.mkdir(parents=True)
    shutil.copy("/bin/sh", pythons / "python")
    (linked / "python").symlink_to(pythons / "python")
    (venv / "python").symlink_to(linked / "python")
    program = venv / "otlp-tracing"
    program.write_text(f"#!{venv}/python\nexit 0\n")
    program.chmod(0o755)
    found = kong_in(folder, program)
    assert of_start(found) == []
    (folder / closed).chmod(0o700)
    assert not starts(program)
    (wrong,) = of_start(found)

    assert wrong.text.endswith(
        f"nobody, the user of Kong's workers: {folder / closed} belongs to root and has mode 0700"
    )
    assert wrong.command == f"chmod o+x {folder / closed}"
    subprocess.run(["/bin/sh", "-c", wrong.command], check=True)
    assert starts(program)
    assert of_start(found) == []


@needs_root
def test_each_closed_folder_is_opened_at_once(folder: Path) -> None:
    """One command is enough, and it makes a file executable too."""
    program = folder / "a" / "b" / "program"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    for one in (program, program.parent, program.parent.parent):
        one.chmod(0o700)
    (wrong,) = of_start(kong_in(folder, program))

    assert wrong.command == f"chmod o+x {folder}/a && chmod o+x {folder}/a/b && chmod o+x {program}"


@needs_root
@pytest.mark.parametrize(
    ("closed", "command"),
    [("kong", "chmod o+x {}"), ("kong/otlp-tracing.run", "chown -R nobody {}")],
    ids=["Kong's prefix", "the plugin server's folder"],
)
def test_a_closed_folder_on_the_way_to_the_socket_is_found(folder: Path, closed: str, command: str) -> None:
    """Kong's workers cannot connect, although the socket is theirs."""
    found = kong_in(folder, Path("/bin/true"))
    found.socket.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(found.socket))
        server.listen()
        found.socket.chmod(0o600)
        os.chown(found.socket, NOBODY, NOBODY)
        (folder / closed).chmod(0o700)
        wrong = next(iter(ask_socket(found)))
        subprocess.run(["/bin/sh", "-c", wrong.command], check=True)
        after = next(iter(ask_socket(found)))

    assert wrong.level == "FAIL"
    assert wrong.text == (
        f"Kong's workers run as nobody and cannot reach {found.socket}: "
        f"{folder / closed} belongs to root and has mode 0700"
    )
    assert wrong.command == command.format(folder / closed)
    assert after.level == "ok"


@needs_root
@pytest.mark.parametrize(
    ("mode", "user", "letter"),
    [
        (0o077, User(NOBODY), "u"),
        (0o707, User(12345, frozenset({54321})), "g"),
        (0o770, User(12345), "o"),
        (0o700, User(NOBODY), ""),
        (0o070, User(12345, frozenset({54321})), ""),
        (0o000, User(0), ""),
    ],
)
def test_owner_group_and_others_have_permissions_of_their_own(folder: Path, mode: int, user: User, letter: str) -> None:
    """The first that a user is counts; root may enter every folder."""
    os.chown(folder, NOBODY, 54321)
    folder.chmod(mode)

    assert user.barred_from(folder / "file") == ([folder] if letter else [])
    if letter:
        assert user.enter_command(folder) == f"chmod {letter}+x {folder}"


@needs_root
def test_an_access_control_list_is_taken_for_permission(folder: Path) -> None:
    """Its lines are not read: a finding that is wrong would be worse than none."""
    folder.chmod(0o700)
    # The kernel's format: the version, then tag, permissions and id of each entry (acl(5)). The entries are for the
    # owner, the user of Kong's workers, the group, the mask, and others.
    lines = [(1, 7, -1), (2, 1, NOBODY), (4, 0, -1), (16, 1, -1), (32, 0, -1)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *line) for line in lines)
    os.setxattr(folder, "system.posix_acl_access", value)

    assert stat.S_IMODE(folder.stat().st_mode) & 0o001 == 0
    assert User(NOBODY).barred_from(folder / "file") == []


def test_a_process_has_its_groups() -> None:
    """Those of this process are known."""
    (mine,) = [one for one in running() if one.pid == os.getpid()]

    assert mine.user == User(os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))
