"""`otlp-tracing completion`: a script that completes the commands, options and their words in a shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import shtab

from otlp_tracing.commands.options import OptionParser
from otlp_tracing.commands.parser import listed_commands, parser_of

EXAMPLE = 'eval "$(otlp-tracing completion bash)"'

_SHELLS = ("bash", "zsh", "fish")


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.add_argument("shell", choices=_SHELLS, nargs="?", default=_SHELLS[0], help="shell (default bash)")


def run(options: argparse.Namespace) -> None:
    """Print the script."""
    print(script(options.shell))


def script(shell: str) -> str:
    """Return the script of a shell, with the options of every command that is installed."""
    parser = parser_of(listed_commands())
    for action in _actions(parser):
        _describe(action)
    return str(shtab.complete(parser, shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        elif action.choices is None and action.nargs != 0:
            yield action


def _describe(action: Any) -> None:
    """Say by an action's metavar which values it has: these words, a folder, or a file."""
    shapes = (action.metavar or "").split("|")
    if all(shape.islower() for shape in shapes) and action.option_strings:
        action.choices = shapes
    elif "DIR" in shapes:
        action.complete = shtab.DIRECTORY
    elif {"PATH", "FILE", "KONG_YML", "SAMPLES"} & {*shapes} or not action.option_strings:
        action.complete = shtab.FILE
