"""Promises of sidecar/live/http/curl.py."""

from __future__ import annotations

import shlex
import subprocess
from typing import Any

import pytest

from otlp_tracing.sidecar.live.http.curl import curl_command

_BASIS = {
    "http.request.method": "GET",
    "url.scheme": "http",
    "server.address": "gw",
    "server.port": 8000,
    "url.path": "/a",
}
HOSTILE = ["'; touch /tmp/x; '", "$(id)", "`id`", '"', "\\", "a\nb", "\x1b[2J", "\u202egnp", "ü", "!history", "*"]


def words(**attributes: Any) -> list[str]:
    names = {name.replace("__", "."): value for name, value in attributes.items()}
    return shlex.split(curl_command({**_BASIS, **names}))


def test_the_command_repeats_the_request() -> None:
    """It has URL, method, agent and captured headers; redacted values stay redacted."""
    told = words(
        http__request__method="POST",
        url__query="token=REDACTED&q=1",
        user_agent__original="shop/1",
        **{"http.request.header.x-tier": ["gold", "blue"], "http.request.header.host": ["gw"]},
    )

    assert told == [
        *("curl", "--request", "POST", "--user-agent", "shop/1"),
        *("--header", "x-tier: gold", "--header", "x-tier: blue"),
        "http://gw:8000/a?token=REDACTED&q=1",
    ]


def test_forms_that_curl_would_change_are_kept() -> None:
    """A default port is left out, HEAD has its own option, brackets and dots stay."""
    assert words(url__scheme="https", server__port=443)[-1] == "https://gw/a"
    assert words(server__address="::1")[-1] == "http://[::1]:8000/a"
    assert "--head" in words(http__request__method="HEAD")
    assert "--globoff" in words(url__query="a[]=1")
    assert "--path-as-is" in words(url__path="/a/../b")
    assert words(http__request__method_original="BREW", http__request__method="_OTHER")[2] == "BREW"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", ["url__path", "url__query", "user_agent__original", "http__request__method_original"])
def test_hostile_values_stay_quoted(field: str, text: str) -> None:
    """A shell sees each part as one word, and a terminal gets no control character."""
    command = curl_command({**_BASIS, field.replace("__", "."): text})
    said = subprocess.run(
        ["/bin/sh", "-c", command.replace("curl ", "printf '%s\\n' ", 1)], capture_output=True, text=True, check=True
    )

    assert said.stdout.splitlines() == shlex.split(command)[1:]
    assert all(character.isprintable() for character in command)


def test_missing_attributes_have_defaults() -> None:
    """An empty span gives a valid command."""
    assert curl_command({}) == "curl http://localhost/"
