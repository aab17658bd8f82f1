"""Promises of sidecar/redaction/detectors/credentials.py."""

from __future__ import annotations

import base64

import pytest

from detecting import found

BASIC = base64.b64encode(b"alice:open sesame").decode()


@pytest.mark.parametrize(
    ("rule", "text", "secret"),
    [
        ("credentials", "Bearer abcdef0123456789abcdef", "abcdef0123456789abcdef"),
        ("credentials", "a=bearer+abcdef0123456789abcdef", "abcdef0123456789abcdef"),
        ("credentials", f"x Basic {BASIC}", BASIC),
        ("userinfo", "see https://alice:pa@ss@host/x", "alice:pa@ss"),
        ("userinfo", "//token@host", "token"),
    ],
)
def test_a_secret_is_found_whole(rule: str, text: str, secret: str) -> None:
    """The finding has its first and its last character, as they were written."""
    assert found(rule, text) == [secret]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("credentials", "the bearer of this letter, basic authentication, token required"),
        ("credentials", "Basic bm90aGluZ2luaXQ="),
        ("userinfo", "https://host/a@b?c=@d"),
    ],
)
def test_a_similar_text_is_left(rule: str, text: str) -> None:
    """Checksums, lengths and the characters around it distinguish it."""
    assert found(rule, text) == []
