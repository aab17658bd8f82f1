"""Promises of sidecar/redaction/scan/overlaps.py."""

from __future__ import annotations

import pytest

from redacting import redacted, span_of, values_of


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("https://alice:secret@example.com/a", "https://REDACTED:REDACTED@example.com/a"),
        ("https://alice:secret@example.com:8443/a", "https://REDACTED:REDACTED@example.com:8443/a"),
        ("https://alice@example.com/a?m=bob@example.com", "https://REDACTED@example.com/a?m=REDACTED"),
        ("https://alice:a@b.example@example.com/a", "https://REDACTED:REDACTED@example.com/a"),
        ("/?u=https%3A%2F%2Falice%3Asecret%40example.com%2F", "/?u=https%3A%2F%2FREDACTED:REDACTED%40example.com%2F"),
    ],
)  # fmt: skip
def test_the_host_behind_userinfo_stays(url: str, left: str) -> None:
    """Together with the userinfo it looks like an e-mail address."""
    assert values_of(span_of(url__full=url)) == {"url.full": left}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password=hunter2", "password=[REDACTED]"),
        ("password=a{b@example.com", "password=[REDACTED]{b@example.com"),
        ("-----BEGIN PRIVATE KEY----- password=hunter2", "-----BEGIN PRIVATE KEY----- password=[REDACTED]"),
        ("https://alice@example.com/", "https://REDACTED@example.com/"),
    ],
)
@pytest.mark.parametrize("attribute", ["a", "http.request.header.referer"])
def test_dry_run_redacts_an_overlapping_value(attribute: str, text: str, left: str) -> None:
    """A value that is always redacted stays so where it overlaps a reported finding."""
    result, _ = redacted(
        span_of(**{attribute: text}), dry_run=True, patterns=[{"name": "own", "pattern": r"password=\S+"}]
    )

    assert result.attributes == {attribute: left}


def test_dry_run_reports_both_overlapping_findings() -> None:
    """Each has its own action."""
    patterns = [{"name": "own", "pattern": r"password=\S+"}]
    _, noted = redacted(span_of(a="password=hunter2"), dry_run=True, patterns=patterns)

    assert sorted(noted) == [
        ("a", "own", "reported", "password=hunter2"),
        ("a", "sensitive_key", "redacted", "hunter2"),
    ]
