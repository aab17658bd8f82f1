"""Promises of commands/doctor/sidecar_questions.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from otlp_tracing import __version__
from otlp_tracing.commands.doctor.discovery import look_around
from otlp_tracing.commands.doctor.sidecar_questions import ask_version


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
    info = 'otlp_tracing_build_info{{version="{}"}} 1.0\n'
    (finding,) = ask_version(found, info.format("0.0.1"))

    assert finding.level == "warn"
    assert f"runs version 0.0.1, and {__version__} is installed" in finding.text
    assert mends in finding.command
    assert list(ask_version(found, info.format(__version__))) == list(ask_version(found, "")) == []
