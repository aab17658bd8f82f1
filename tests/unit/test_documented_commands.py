"""Every command in the documents is shown to work, and testdata/documented_commands.yaml says how."""

from __future__ import annotations

import ast
import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest

from checkout import CHECKOUT
from documented_commands import SHOWN

RUN = [command for command, how in SHOWN.items() if "run" in how]

# Where the documents have the package installed; here it is the environment that the tests run in.
INSTALLED = ("/usr/local/otlp-tracing/bin/", ".venv/bin/")


@pytest.mark.parametrize("command", SHOWN)
def test_how_a_command_is_shown_can_be_looked_up(command: str) -> None:
    """The named test or step exists; a command that was typed has its day and its result."""
    how = SHOWN[command]

    assert how.keys() & {"run", "step", "test", "typed", "means"}
    assert how.keys() <= {"run", "step", "test", "typed", "seen", "needs", "means"}
    if "step" in how:
        assert how["step"] in (CHECKOUT / ".ci" / "run").read_text()
    if "test" in how:
        assert is_test(*how["test"].split("::"))
    if "typed" in how:
        assert isinstance(how["typed"], datetime.date)
        assert how["seen"]


def is_test(file: str, name: str) -> bool:
    tree = ast.parse((CHECKOUT / file).read_text())
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in ast.walk(tree))


@pytest.mark.parametrize("command", RUN)
def test_a_command_does_what_it_should(command: str, tmp_path: Path) -> None:
    """Typed unchanged, it ends with its code and prints the expected text."""
    run = SHOWN[command]["run"] or {}
    for part in ("kong", "tests", "pluginserver"):
        (tmp_path / part).symlink_to(CHECKOUT / part)
    for name, text in run.get("given", {}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        if name.startswith("etc/"):
            command = command.replace(f"/{name}", str(tmp_path / name))
    for place in INSTALLED:
        command = command.replace(place, "")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTLP_TRACING_"))}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        check=False,
        cwd=tmp_path,
        env={**ours, "PATH": f"{Path(sys.executable).parent}:{ours['PATH']}", **run.get("environment", {})},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == run.get("exits", 0), done.stderr
    assert str(run.get("prints", "")) in done.stdout + done.stderr
