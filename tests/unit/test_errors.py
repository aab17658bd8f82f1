"""Promises of errors.py."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from otlp_tracing import errors
from otlp_tracing.errors import Fault


def test_the_tree_names_every_exception() -> None:
    """The module's docstring lists each subclass of TracingError, and no other class."""
    classes = [
        node
        for path in Path(errors.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    tree = {"TracingError"}
    while more := {one.name for one in classes if {ast.unparse(base) for base in one.bases} & tree} - tree:
        tree |= more

    assert errors.__doc__
    assert set(re.findall(r"^[│├└─ ]*(\w+)(?:  |$)", errors.__doc__.partition("\n\n")[2], re.MULTILINE)) == tree


@pytest.mark.parametrize("value", ['"http://u:s3cr3t@c"', '"http::/u:s3cr3t@c"', '"u:s3cr3t@c:4317"', "s3cr3t@"])
def test_a_fault_shows_no_password(value: str) -> None:
    """The userinfo of a URL is hidden, also if the URL is not one."""
    shown = str(Fault("endpoint", value, "must be a URL"))

    assert "s3cr3t" not in shown
    assert "@" in shown


@pytest.mark.parametrize("value", ['"https://c/v1/traces?api_key=s3cr3t"', "http://c:1?s3cr3t", "https://c/a#s3cr3t"])
def test_a_fault_shows_no_query_of_a_url(value: str) -> None:
    """It can have a key; the address itself is shown."""
    shown = str(Fault("endpoint", value, "must not have a path"))

    assert "s3cr3t" not in shown
    assert "://c" in shown


@pytest.mark.parametrize("value", ["a:" * 500_000, "a@" * 500_000, "://" * 300_000, "://a@b?" * 200_000])
def test_a_long_value_is_shown_at_once(value: str) -> None:
    """A megabyte without the character that a pattern looks for is read once, not once for each of its characters."""
    shown = str(Fault("url", value, "is wrong"))

    assert shown.startswith("url = ")
    assert len(shown) < 120
