"""Promises of sidecar/live/http/options.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.live.http.options import PageOptions, page_options

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("mode", "host", "token", "is_on"),
    [
        ("auto", "127.0.0.1", "", True),
        ("auto", "::1", "", True),
        ("auto", "localhost", "", True),
        ("auto", "0.0.0.0", "", False),
        ("auto", "::", "", False),
        ("auto", "sidecar.internal", "", False),
        ("auto", "0.0.0.0", TOKEN, True),
        ("on", "0.0.0.0", "", True),
        ("off", "127.0.0.1", TOKEN, False),
    ],
)
def test_the_address_decides_in_mode_auto(mode: str, host: str, token: str, is_on: bool) -> None:
    """The page is on for a loopback address, or with a token."""
    assert page_options(mode, host, {"OTLP_TRACING_PAGE_TOKEN": token}).is_on is is_on


def test_the_token_may_be_in_a_file(tmp_path: Path) -> None:
    """A trailing line break is ignored."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")

    assert page_options("auto", "0.0.0.0", {}, token_file=str(tmp_path / "token")).token == TOKEN


@pytest.mark.parametrize("token", ["short", "with spaces in between", "ümläute-ümläute-ü"])
def test_a_weak_token_is_refused_without_showing_it(token: str) -> None:
    """The message has the rule, but not the token."""
    with pytest.raises(ConfigError, match="16 or more") as error:
        page_options("auto", "127.0.0.1", {"OTLP_TRACING_PAGE_TOKEN": token})

    assert token not in str(error.value)


def test_an_empty_token_file_is_refused(tmp_path: Path) -> None:
    """It must not turn the token off."""
    (tmp_path / "token").write_text("\n")
    with pytest.raises(ConfigError, match="--page-token-file"):
        page_options("auto", "127.0.0.1", {}, token_file=str(tmp_path / "token"))


def test_host_names_are_a_list() -> None:
    """Commas separate them; spaces and case are ignored."""
    assert page_options("on", "::1", {}, hosts="Tracing.Example, b").hosts == {"tracing.example", "b"}
    assert page_options("on", "::1", {}) == PageOptions()
