"""Promises of commands/doctor/sidecar_questions.py."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.samples import Sample

from otlp_tracing import __version__
from otlp_tracing.commands.doctor.discovery import look_around
from otlp_tracing.commands.doctor.processes import Process
from otlp_tracing.commands.doctor.sidecar_questions import ask_folder, ask_spool, ask_version


@pytest.mark.parametrize(
    ("settings", "mends"),
    [("pluginserver_otlp_tracing_start_cmd = otlp-tracing serve\n", "kong start -c"), ("", "otlp-tracing serve")],
    ids=["started by Kong", "started beside Kong"],
)
def test_a_forgotten_restart_is_found(tmp_path: Path, settings: str, mends: str) -> None:
    """After an upgrade of the package, old processes run until they are restarted."""
    conf = tmp_path / "kong.conf"
    conf.write_text(f"prefix = {tmp_path}\npluginserver_names = otlp-tracing\n{settings}")
    found = look_around(prefix=None, kong_conf=conf, address=None, token=None)
    old, same = (Sample("otlp_tracing_build_info", {"version": one}, 1.0) for one in ("0.0.1", __version__))
    (finding,) = ask_version(found, [old])

    assert finding.level == "warn"
    assert f"runs version 0.0.1, and {__version__} is installed" in finding.text
    assert mends in finding.command
    assert list(ask_version(found, [same])) == list(ask_version(found, [])) == []


@pytest.mark.parametrize(
    ("mode", "level", "words"),
    [
        (0o700, "ok", "mode 0700"),
        (0o750, "ok", "mode 0750"),
        (0o755, "warn", "mode 0755: other users may enter it"),
        (0o711, "warn", "mode 0711: other users may enter it"),
        (0o757, "FAIL", "mode 0757: other users may write to it"),
        (0o777, "FAIL", "mode 0777: other users may write to it"),
    ],
)
def test_a_folder_that_others_only_see_is_a_warning(tmp_path: Path, mode: int, level: str, words: str) -> None:
    """Socket and spool have modes of their own: sidecar and plugin server use such a folder."""
    folder = tmp_path / "otlp-tracing"
    folder.mkdir()
    folder.chmod(mode)
    found = look_around(prefix=tmp_path, kong_conf=None, address=None, token=None)
    (finding,) = ask_folder(replace(found, workers=[Process(2, 1, os.geteuid(), ("otlp-tracing", "worker"))]))

    assert finding.level == level
    assert words in finding.text
    assert finding.command == ("" if level == "ok" else f"chmod 700 {folder}")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another group")
@pytest.mark.parametrize(("group", "level"), [(0, "warn"), (54321, "FAIL")])
def test_the_group_0_is_the_plugin_servers_own(tmp_path: Path, group: int, level: str) -> None:
    """OpenShift runs any user of it; another group's users are others."""
    folder = tmp_path / "otlp-tracing"
    folder.mkdir()
    folder.chmod(0o775)
    os.chown(folder, 0, group)
    (finding,) = ask_folder(look_around(prefix=tmp_path, kong_conf=None, address=None, token=None))

    assert finding.level == level


@pytest.fixture(params=["a disk", "a folder of this disk"])
def read_only(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A volume that is read-only, with a folder in it."""
    volume, source = tmp_path / "a volume", tmp_path / "source"
    for one in (volume, source):
        one.mkdir()
    options = ["-t", "tmpfs", "tmpfs"] if request.param == "a disk" else ["--bind", str(source)]
    subprocess.run(["/bin/mount", *options, str(volume)], check=True)
    try:
        (volume / "data" / "spool").mkdir(parents=True)
        kind = "remount,ro" if request.param == "a disk" else "remount,bind,ro"
        subprocess.run(["/bin/mount", "-o", kind, str(volume)], check=True)
        yield volume
    finally:
        subprocess.run(["/bin/umount", str(volume)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
@pytest.mark.parametrize("place", ["data/spool", "missing/spool", "link/spool"])
def test_a_read_only_volume_is_mounted_writable_by_its_command(read_only: Path, tmp_path: Path, place: str) -> None:
    """The command names the mount point: mount(8) knows no other folder."""
    (tmp_path / "link").symlink_to(read_only / "data")
    spool = tmp_path / place if place.startswith("link") else read_only / place
    sidecar = Process(1 << 22, 1, 0, ("otlp-tracing", "sidecar", "--spool", str(spool), ""))
    found = replace(look_around(prefix=tmp_path, kong_conf=None, address=None, token=None), sidecar=sidecar)
    (finding,) = ask_spool(found, {"spool_trouble": "no"})
    subprocess.run(["/bin/sh", "-c", finding.command], check=True)

    (read_only / "data" / "file").touch()
