"""Promises of sidecar/redaction/detectors/jwt.py."""

from __future__ import annotations

import base64
import json

import pytest

from detecting import found


def encoded(fields: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields, separators=(",", ":")).encode()).decode().rstrip("=")


JWT = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded({'sub': 'alice'})}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("rule", "text", "secret"),
    [
        ("jwt", f"k {JWT} .", JWT),
        ("jwt", f"{JWT.rpartition('.')[0]}.", f"{JWT.rpartition('.')[0]}."),
    ],
)
def test_a_secret_is_found_whole(rule: str, text: str, secret: str) -> None:
    """The finding has its first and its last character, as they were written."""
    assert found(rule, text) == [secret]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("jwt", "eyJhbGciOi.not-a-header.at-all"),
        ("jwt", "/ey/eyJ"),
        ("jwt", f"{encoded([1, 2, 3, 4, 5, 6])}.eyJ9.x"),
    ],
)
def test_a_similar_text_is_left(rule: str, text: str) -> None:
    """Checksums, lengths and the characters around it distinguish it."""
    assert found(rule, text) == []
