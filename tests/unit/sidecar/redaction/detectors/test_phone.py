"""Promises of sidecar/redaction/detectors/phone.py."""

from __future__ import annotations

import pytest

from detecting import found


@pytest.mark.parametrize(
    ("rule", "text", "secret"),
    [
        ("phone", "call +49 30 901820 now", "+49 30 901820"),
        ("phone", "call (212) 555-0123 now", "(212) 555-0123"),
    ],
)
def test_a_secret_is_found_whole(rule: str, text: str, secret: str) -> None:
    """The finding has its first and its last character, as they were written."""
    assert found(rule, text) == [secret]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("phone", "1700000000000 2024-11-22"),
    ],
)
def test_a_similar_text_is_left(rule: str, text: str) -> None:
    """Checksums, lengths and the characters around it distinguish it."""
    assert found(rule, text) == []
