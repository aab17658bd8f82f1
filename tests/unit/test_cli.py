"""Promises of cli.py: every option is checked, from the command line and from the environment alike."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest

from loaded_modules import modules_loaded_by
from otlp_tracing.cli import main, parse
from otlp_tracing.commands.options import PREFIX, OptionParser
from otlp_tracing.commands.parser import COMMANDS
from otlp_tracing.paths import command_line

REFUSED_IF_EMPTY = {"--kong-prefix", "--socket-name", "--plugins", "--sidecar", "--listen", "--spool"}
"""Options that take any text but an empty one."""


def options_of(command: str) -> list[str]:
    with mock.patch.object(OptionParser, "option") as option:
        parse([command])
    return [call.args[0] for call in option.call_args_list]


def every_option() -> list[tuple[str, str]]:
    return [(command, name) for command in COMMANDS if command != "worker" for name in options_of(command)]


def test_a_description_needs_no_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Kong does not start without a description, so a mistyped level of the log does not prevent it."""
    monkeypatch.setenv("OTLP_TRACING_LOG_LEVEL", "loud")

    assert main(["dump"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["Name"] == "otlp-tracing"


def test_an_unknown_option_does_not_take_the_gateway_down(capsys: pytest.CaptureFixture[str]) -> None:
    """From a terminal it ends the command. Started by Kong it is named, without its value, and counted."""
    arguments = ["serve", "--htpp", "secret", "--workers", "2", "--http"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "unrecognized arguments: --htpp" in capsys.readouterr().err

    options = parse([*arguments, "--on-fault", "continue"])
    assert [str(fault) for fault in options.faults] == ["--http: needs a value", "--htpp: there is no such option"]
    assert (options.workers, str(options.http)) == (2, "127.0.0.1:9464")


@pytest.mark.parametrize(("command", "name"), every_option())
def test_a_value_is_refused_wherever_it_comes_from(
    command: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the option or its variable, the value and the rule; exit code 2."""
    value = "" if name in REFUSED_IF_EMPTY else "no such value"
    variable = PREFIX + name.removeprefix("--").replace("-", "_").upper()

    assert main([command, f"{name}={value}"]) == 2
    from_command_line = capsys.readouterr().err
    monkeypatch.setenv(variable, value)
    if variable == "OTLP_TRACING_LOG_LEVEL" and command == "dump":
        return  # a description needs no log
    assert main([command]) == 2
    from_environment = capsys.readouterr().err

    shown = value or '""'
    assert re.fullmatch(rf"otlp-tracing: {name} = {shown}: (must|cannot) .+\n", from_command_line)
    assert from_environment == from_command_line.replace(name, variable, 1)


def test_every_fault_is_told_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the command line and of the environment together; the command line wins over its variable."""
    monkeypatch.setenv("OTLP_TRACING_LOG_LEVEL", "loud")
    monkeypatch.setenv("OTLP_TRACING_WORKERS", "none at all")

    assert main(["serve", "--workers", "65", "--http", "banana"]) == 2
    assert [line.split(" = ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "otlp-tracing: --workers",
        "otlp-tracing: --http",
        "otlp-tracing: OTLP_TRACING_LOG_LEVEL",
    ]


def test_a_value_from_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read as the same option on the command line is."""
    monkeypatch.setenv("OTLP_TRACING_HTTP", "[::1]:80")
    monkeypatch.setenv("OTLP_TRACING_LOG_LEVEL", "DEBUG")

    options = parse(["status"])

    assert options.http == ("::1", 80)
    assert options.log_level == "debug"


def test_the_demo_that_is_not_installed_has_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`demo` is in a distribution of its own, which is on no index: docs/install.md has the same two commands."""
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())

    assert main(["demo"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("otlp-tracing: demo: is not installed; in a checkout of the repository, run: ")
    pip = f"{sys.executable} -m pip"
    commands = said.rstrip().partition(" run: ")[2].replace(pip, "/usr/local/otlp-tracing/bin/pip").split(" && ")
    documented = (Path(__file__).parents[2] / "docs" / "install.md").read_text()
    assert [one for one in commands if f"\n    {one}\n" not in documented] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command's help ends with a line to type."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    assert re.search(r"\nexample:\n  .*otlp-tracing \w+", capsys.readouterr().out)


def test_a_mistyped_option_before_the_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence is about the option, not about a missing command."""
    with pytest.raises(SystemExit):
        main(["--verison"])

    assert "there is no option --verison" in capsys.readouterr().err


def test_the_internal_command_is_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelled command is answered with the commands that a person may type."""
    with pytest.raises(SystemExit):
        main(["serv"])

    assert "worker" not in capsys.readouterr().err


def test_the_socket_comes_before_anything_slow() -> None:
    """`serve` reads its options and reaches the socket without having loaded msgpack, greenlet or the plugin."""
    loaded = modules_loaded_by("from otlp_tracing.cli import parse; parse(['serve'])")

    assert "otlp_tracing.kong_server.supervisor" in loaded
    assert not {"msgpack", "greenlet", "kong_pdk", "gevent", "yaml", "asyncio", "importlib.metadata"} & set(loaded)


@pytest.mark.parametrize(("hand_over", "phases"), [("plugin", ["access", "log"]), ("kong", ["access"])])
def test_one_option_decides_who_hands_records_over(
    hand_over: str, phases: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kong runs the phases that `dump` names, and no other command has to be told."""
    monkeypatch.setenv("OTLP_TRACING_HAND_OVER", hand_over)

    assert main(["dump"]) == 0
    (plugin,) = json.loads(capsys.readouterr().out)
    assert sorted(plugin["Phases"]) == phases


@pytest.mark.parametrize("arguments", [["dump"], ["dump", "--format", "lua"], ["completion", "bash"]], ids=" ".join)
def test_a_full_output_is_one_sentence(arguments: Sequence[str]) -> None:
    """A description that does not fit its volume is exit 1 and a sentence, not a traceback."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(command_line(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert done.stderr == "otlp-tracing: standard output cannot be written: No space left on device\n"
    assert done.returncode == 1
