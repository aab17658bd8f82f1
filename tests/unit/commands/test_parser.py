"""Promises of commands/parser.py; the man page is made from it. `UPDATE_DOCS=1 make test` writes the page again."""

from __future__ import annotations

import argparse
import os

import pytest
from argparse_manpage.manpage import Manpage

from checkout import CHECKOUT
from otlp_tracing import __version__
from otlp_tracing.commands import parser as parsers
from otlp_tracing.commands.parser import listed_commands, parser_of

PAGE = CHECKOUT / "docs" / "otlp-tracing.1"


def man_page(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    parser = parser_of(listed_commands())
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        command.usage = f"otlp-tracing {name} [options]"  # the options follow
        for action in command._actions:
            if action.option_strings and action.nargs == "?":
                action.nargs = None  # the value may be missing only so that this is a fault of its own
    return str(
        Manpage(
            parser,
            {
                "description": "OpenTelemetry tracing for Kong Gateway",
                "date": f"version {__version__}",
                "manual_title": "otlp-tracing",
            },
        )
    )


def test_the_man_page_has_every_command_and_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made from the parsers, so it cannot differ from `--help`."""
    page = man_page(monkeypatch)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(page)

    assert PAGE.read_text() == page, "docs/otlp-tracing.1 is behind the code; UPDATE_DOCS=1 make test writes it again"
    for name in listed_commands():
        assert f"otlp\\-tracing {name}" in page


def test_a_command_of_an_extra_is_listed_if_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra there is no `demo` in a completion."""
    assert "demo" in listed_commands()
    monkeypatch.setattr(parsers, "_ENTRY_POINTS", "no.such.group")
    assert "demo" not in listed_commands()
