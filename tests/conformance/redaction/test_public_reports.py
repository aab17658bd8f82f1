"""Secrets that reports of other products' users show, at the places where they left."""

from __future__ import annotations

from typing import Any

import pytest

from redacting import redacted, span_of


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        ("http.request.header.x-body", [r"{\"password\":\"hunter2hunter2\"}"], [r"{\"password\":\"[REDACTED]\"}"]),
        (
            "url.query",
            "body=%7B%22d%22%3A%22%7B%5C%22password%5C%22%3A%5C%22hunter2%5C%22%7D%22%7D",
            "body=%7B%22d%22%3A%22%7B%5C%22password%5C%22%3A%5C%22REDACTED%5C%22%7D%22%7D",
        ),
        ("url.query", "q=%7B%22password%22%3A%22foo%5C%22bar_s%22%7D", "q=%7B%22password%22%3A%22REDACTED%22%7D"),
        ("http.request.header.x-q", [r'{"password":"foo\"bar_s"}'], ['{"password":"[REDACTED]"}']),
        ("url.query", "code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj", "code=REDACTED&state=REDACTED"),
        ("url.query", "SAMLResponse=PHNh&ticket=ST-123", "SAMLResponse=REDACTED&ticket=REDACTED"),
        ("url.query", "client_assertion=eyJh&code_verifier=abc", "client_assertion=REDACTED&code_verifier=REDACTED"),
        (
            "url.query",
            "pass=h2&passcode=h3&pin=493817&otp=1",
            "pass=REDACTED&passcode=REDACTED&pin=REDACTED&otp=REDACTED",
        ),
        ("url.query", "sid=s3cr3tvalue&connect.sid=s%3As3cr3t", "sid=REDACTED&connect.sid=REDACTED"),
        ("url.query", "bearer=a&credentials=b&hmac=c", "bearer=REDACTED&credentials=REDACTED&hmac=REDACTED"),
        ("url.query", "country=US&code=US&state=CA", "country=US&code=US&state=CA"),
        # Behind an unquoted value a text goes on: the rest of a line is more often prose than a pass phrase.
        ("http.request.header.x-note", ["password: correct horse"], ["password: [REDACTED] horse"]),
    ],
)
def test_a_reported_secret_is_redacted(attribute: str, value: Any, expected: Any) -> None:
    """Nothing but the secret is replaced, and values with an everyday meaning stay."""
    assert redacted(span_of(**{attribute: value}))[0].attributes[attribute] == expected


def test_a_secret_in_a_path_needs_a_pattern() -> None:
    """A segment has no name of its own; the example of the documentation redacts it."""
    path = "/reset-password/4f9d2c7ab8e14f0d9c3b/new"
    pattern = {"name": "reset_link", "pattern": "/(?:reset-password|token)/[^/?]+"}

    assert redacted(span_of(**{"url.path": path}))[0].attributes["url.path"] == path
    assert redacted(span_of(**{"url.path": path}), patterns=[pattern])[0].attributes["url.path"] == "REDACTED/new"
