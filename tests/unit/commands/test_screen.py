"""Promises of commands/screen.py."""

from __future__ import annotations

import io

import pytest

from otlp_tracing.commands.screen import Screen, printable

ROWS = [[("name", "bold"), ("spans", "bold")], [("a", ""), ("12", "red")]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rows_stand_in_columns() -> None:
    """Texts begin below each other, numbers end below each other."""
    stream = io.StringIO()

    assert Screen(stream, 80).table(ROWS, right=frozenset({1}))
    assert stream.getvalue() == "name  spans\na        12\n"


def test_rows_that_do_not_fit_are_not_printed() -> None:
    """The caller prints them in another form."""
    stream = io.StringIO()

    assert not Screen(stream, 10).table(ROWS)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("variable", "has_colour"), [("", True), ("1", False)])
def test_colour_is_for_terminals(variable: str, has_colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR turns it off; a pipe never gets any."""
    monkeypatch.setenv("NO_COLOR", variable)
    terminal, pipe = Terminal(), io.StringIO()

    for stream in (terminal, pipe):
        Screen(stream, 80).line(("down", "red"), " for 2 h")

    assert terminal.getvalue() == ("\x1b[31mdown\x1b[0m for 2 h\n" if has_colour else "down for 2 h\n")
    assert pipe.getvalue() == "down for 2 h\n"


def test_control_characters_are_escaped() -> None:
    """A name that another chose cannot drive the terminal."""
    assert printable("a\x1b[2Jb\n é") == "a\\x1b[2Jb\\n é"
