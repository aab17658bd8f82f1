"""Promises of sidecar/redaction/login.py."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.redaction.login import LoginContext


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("code", "SplxlOBeZQQYbYS6WxSbIA", ""),
        ("code", "493817", ""),
        ("Ticket", "ST-123", ""),
        ("sid", "s3cr3tvalue", ""),
        ("state", "xyz", "code=SplxlOBeZQQYbYS6WxSbIA&state=xyz"),
        ("code", "abc", "grant_type=authorization_code&code=abc"),
        ("state", "abc", '{"state": "abc", "redirect_uri": "/cb"}'),
    ],
)
def test_a_login_has_secrets(name: str, value: str, text: str) -> None:
    """The form of the value tells it, or the other parameters do."""
    assert LoginContext(text).is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("code", "US", "code=US&state=CA"),
        ("state", "CA", "code=US&state=CA"),
        ("code", "404", "code=404"),
        ("code", "en-US", "code=en-US"),
        ("state", "closed", "state=closed&page=2"),
        ("ticket", "4711", "ticket=4711&state=open"),
        ("code", "ECONNREFUSED", "code: ECONNREFUSED, state: half-open"),
        ("sid", "03/01/24/1440207", ""),
    ],
)
def test_everyday_values_are_left(name: str, value: str, text: str) -> None:
    """Countries, numbers of errors and tickets, states of things."""
    assert not LoginContext(text).is_secret(name, value)
