"""Promises of errors.py."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from otlp_tracing import errors


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
