"""Promises of commands/completion.py, in the shells."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from otlp_tracing.commands.completion import script
from otlp_tracing.commands.parser import listed_commands

_BASH = "/bin/bash"
_ASK_BASH = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_otlp_tracing; echo "${COMPREPLY[*]}"'


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the script of bash."""
    path = tmp_path_factory.mktemp("completion") / "otlp-tracing.bash"
    path.write_text(script("bash"))
    return path


def completions(path: Path, *words: str) -> list[str]:
    asked = subprocess.run(
        [_BASH, "-c", _ASK_BASH, path, "otlp-tracing", *words],
        cwd=path.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    return asked.stdout.split()


def test_commands_are_completed(bash_script: Path) -> None:
    """Every command of the help, and none that is for other commands only."""
    assert set(completions(bash_script, "")) >= set(listed_commands())
    assert "worker" not in completions(bash_script, "")
    assert completions(bash_script, "comp") == ["completion"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("serve", "--ingest-h"), ["--ingest-http"]),
        (("serve", "--page", ""), ["auto", "on", "off"]),
        (("status", "--log-level", "w"), ["warning"]),
        (("probe", "s"), ["sidecar"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("check", "otlp"), ["otlp-tracing.bash"]),
        (("check", "--from", "otlp"), ["otlp-tracing.bash"]),
    ],
)
def test_options_and_their_values_are_completed(words: tuple[str, ...], expected: list[str], bash_script: Path) -> None:
    """Options by the command's parser, values by the words of its metavar, files where files are wanted."""
    found = completions(bash_script, *words)

    assert [one for one in found if not one.startswith("-") or one in expected] == expected


@pytest.mark.parametrize(("shell", "check"), [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")])
def test_the_shell_can_read_its_script(shell: str, check: str, tmp_path: Path) -> None:
    """The syntax is the shell's own; a shell that is not here is not asked."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    path = tmp_path / "script"
    path.write_text(script(shell))

    assert subprocess.run([shell, check, path], capture_output=True, text=True, check=False).stderr == ""
