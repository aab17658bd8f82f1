"""Inputs that once broke a parser, and other useful inputs, do not break one again."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from checkout import CHECKOUT
from fuzz.targets import TARGETS
from otlp_tracing.errors import WireError

CORPUS = sorted((CHECKOUT / "tests" / "fuzz" / "corpus").glob("*-*"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus_gives_messages_or_a_wire_error(path: Path) -> None:
    """Whole, and byte by byte."""
    target = TARGETS[path.name.partition("-")[0]]
    data = path.read_bytes()
    for pieces in ([data], [bytes([byte]) for byte in data]):
        with contextlib.suppress(WireError):
            target.read(pieces)
