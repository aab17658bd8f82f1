"""Promises of sidecar/redaction/detectors/email.py."""

from __future__ import annotations

import pytest

from detecting import found


@pytest.mark.parametrize(
    ("rule", "text", "secret"),
    [
        ("email", "mail to alice.b+shop@example.co.uk, please", "alice.b+shop@example.co.uk"),
        ("email", "/users/alice@example.com/orders", "alice@example.com"),
        ("email", "/users/alice%40example.com/orders", "alice%40example.com"),
        ("email", "next=%2Fu%3Fm%3Dalice%2540example.com", "alice%2540example.com"),
        ("email", "user@163.com", "user@163.com"),
    ],
)
def test_a_secret_is_found_whole(rule: str, text: str, secret: str) -> None:
    """The finding has its first and its last character, as they were written."""
    assert found(rule, text) == [secret]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("email", "/static/logo@2x.png"),
        ("email", "/npm/vue@3.4.21/dist/vue.global.js"),
        ("email", "/npm/react@18.min.js"),
        ("email", "@scope/package user@localhost"),
    ],
)
def test_a_similar_text_is_left(rule: str, text: str) -> None:
    """Checksums, lengths and the characters around it distinguish it."""
    assert found(rule, text) == []
