"""Promises of sidecar/redaction/detectors/ip.py."""

from __future__ import annotations

import pytest

from detecting import found


@pytest.mark.parametrize(
    ("rule", "text", "secret"),
    [
        ("ip", "from 203.0.113.9:80", "203.0.113.9"),
        ("ip", "from 2001:db8::1 to", "2001:db8::1"),
    ],
)
def test_a_secret_is_found_whole(rule: str, text: str, secret: str) -> None:
    """The finding has its first and its last character, as they were written."""
    assert found(rule, text) == [secret]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("ip", "Chrome/126.0.0.0 Safari/537.36"),
        ("ip", "1.2.3.4.5 999.1.1.1 12:30:15"),
    ],
)
def test_a_similar_text_is_left(rule: str, text: str) -> None:
    """Checksums, lengths and the characters around it distinguish it."""
    assert found(rule, text) == []
