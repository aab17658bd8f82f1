"""Promises of config/tokens.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from otlp_tracing.config.tokens import read_token
from otlp_tracing.errors import ConfigError

TOKEN = "0123456789abcdef"
VARIABLE = "OTLP_TRACING_PAGE_TOKEN"


def test_a_file_counts_before_the_variable(tmp_path: Path) -> None:
    """A person named the option, the variable may be inherited; white space around the token is no part of it."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")

    assert read_token("page", {VARIABLE: "f" * 16}, str(tmp_path / "token")) == TOKEN
    assert read_token("page", {VARIABLE: TOKEN}) == TOKEN
    assert read_token("page", {VARIABLE: ""}) is None


@pytest.mark.parametrize("token", ["short", "0123456789 abcdef", "0123456789abcdé"])
def test_a_weak_token_is_refused_and_not_shown(token: str) -> None:
    """The message names the variable and the rule, never the token."""
    with pytest.raises(ConfigError, match=rf"^{VARIABLE}: must hold a token of 16 or more") as caught:
        read_token("page", {VARIABLE: token})

    assert token not in str(caught.value)
