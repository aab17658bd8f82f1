"""Promises of installation.py."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import otlp_tracing
from otlp_tracing.kong_server import worker
from otlp_tracing.paths import build_flavor

PACKAGE = Path(otlp_tracing.__file__).parent


def libraries() -> list[Path]:
    return [path for path in PACKAGE.rglob("*") if path.name.endswith(EXTENSION_SUFFIXES[0])]


def test_the_form_is_what_runs() -> None:
    """An operator is told whether it is the libraries or their sources that serve."""
    assert build_flavor() == ("compiled" if str(worker.__file__).endswith(EXTENSION_SUFFIXES[0]) else "pure Python")


def test_no_library_is_older_than_its_source() -> None:
    """The edited source is the one that runs: `make compile` again, or `make clean`."""
    sources = {path: path.with_name(path.name.removesuffix(EXTENSION_SUFFIXES[0]) + ".py") for path in libraries()}

    assert [str(path) for path, source in sources.items() if source.stat().st_mtime > path.stat().st_mtime] == []
