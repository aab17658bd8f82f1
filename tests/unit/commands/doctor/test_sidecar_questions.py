"""Promises of commands/doctor/sidecar_questions.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.samples import Sample

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
    old, same = (Sample("otlp_tracing_build_info", {"version": one}, 1.0) for one in ("0.0.1", __version__))
    (finding,) = ask_version(found, [old])

    assert finding.level == "warn"
    assert f"runs version 0.0.1, and {__version__} is installed" in finding.text
    assert mends in finding.command
    assert list(ask_version(found, [same])) == list(ask_version(found, [])) == []
