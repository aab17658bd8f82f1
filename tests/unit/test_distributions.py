"""Promises about the two distributions of this repository."""

from __future__ import annotations

import re

from checkout import CHECKOUT
from otlp_tracing import __version__


def test_both_distributions_have_one_version() -> None:
    """The development tools have the product's version, and each distribution asks for that of the other."""
    product = (CHECKOUT / "pyproject.toml").read_text()
    devtools = (CHECKOUT / "devtools" / "pyproject.toml").read_text()
    found = [
        *re.findall(r'"otlp-tracing-devtools==(.*?)"', product),
        *re.findall(r'^version = "(.*?)"', devtools, re.MULTILINE),
        *re.findall(r'"otlp-tracing==(.*?)"', devtools),
    ]

    assert found == [__version__] * 3
