"""Promises of sidecar/live/http/auth.py."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from live_app import (
    DATA,
    FOR_MACHINES,
    TOKEN,
    TRACE_ID,
    ask,
)
from otlp_tracing.sidecar.live.http.auth import SECURITY_HEADERS


@pytest.mark.parametrize("path", FOR_MACHINES)
def test_probes_and_scrapers_need_no_token(path: str) -> None:
    """Any host name and any origin may read the machine paths."""
    headers = {"Host": "sidecar.cluster.local", "Sec-Fetch-Site": "cross-site"}

    status, got, _ = ask(path, headers, token=TOKEN)

    assert status == 200
    assert "Content-Security-Policy" not in got


@pytest.mark.parametrize("path", ["/", "/page/main.js", *DATA])
@pytest.mark.parametrize(
    "host", ["localhost:9464", "127.0.0.1", "[::1]:9464", "10.1.2.3:80", "a.localhost", "known.test"]
)
def test_allowed_host_names_are_served(path: str, host: str) -> None:
    """They are localhost, IP addresses, and the names of --page-hosts."""
    assert ask(path, {"Host": host}, hosts=frozenset({"known.test"}))[0] == 200


@pytest.mark.parametrize("path", ["/", "/page/main.js", *DATA])
@pytest.mark.parametrize("host", ["evil.test", "evil.test:9464", "localhost.evil.test", "127.0.0.1.evil.test", "", "["])
def test_another_host_name_is_refused(path: str, host: str) -> None:
    """A site that binds its name to this address reads nothing."""
    assert ask(path, {"Host": host})[0] == 421


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"bearer {TOKEN}", f"Basic {TOKEN}", "Bearer \xff"],
)
def test_data_needs_the_token(path: str, given: str | None) -> None:
    """It must be given exactly, as a bearer token."""
    headers = {} if given is None else {"Authorization": given}

    status, got, _ = ask(path, headers, token=TOKEN)

    assert status == 401
    assert got["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/page/main.js"])
def test_the_page_itself_needs_no_token(path: str) -> None:
    """It carries no data and prompts for the token."""
    assert ask(path, token=TOKEN)[0] == 200


def test_the_right_token_gives_access() -> None:
    """The data is served with it."""
    assert ask(f"/traces/{TRACE_ID}", {"Authorization": f"Bearer {TOKEN}"}, token=TOKEN)[0] == 200


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.test"}]
)
@pytest.mark.parametrize("path", DATA)
def test_other_sites_read_no_data(path: str, headers: Mapping[str, str]) -> None:
    """Their requests are refused, including event streams."""
    assert ask(path, headers)[0] == 403


@pytest.mark.parametrize("path", ["/", "/page/page.css", "/routes", "/nowhere"])
def test_every_response_has_the_security_headers(path: str) -> None:
    """A 404 has them as well."""
    _, got, _ = ask(path)

    assert {name: got[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert got["Cache-Control"] in {"no-store", "no-cache"}
