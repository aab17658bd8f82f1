"""Promises of sidecar/redaction/detectors/private_key.py."""

from __future__ import annotations

import pytest

from detecting import found

PEM = f"-----BEGIN RSA PRIVATE KEY-----{'MIIEowIBAAKCAQEAx2J0' * 3}==-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("rule", "text", "secret"),
    [
        ("private_key", f"a {PEM} b", PEM),
        ("private_key", "-----BEGIN+PRIVATE+KEY-----MIIE", "-----BEGIN+PRIVATE+KEY-----MIIE"),
    ],
)
def test_a_secret_is_found_whole(rule: str, text: str, secret: str) -> None:
    """The finding has its first and its last character, as they were written."""
    assert found(rule, text) == [secret]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("private_key", "-----BEGIN CERTIFICATE-----MIIE"),
        ("private_key", "-----BEGIN PRIVATE KEY-----anything-----END PRIVATE KEY-----"),
    ],
)
def test_a_similar_text_is_left(rule: str, text: str) -> None:
    """Checksums, lengths and the characters around it distinguish it."""
    assert found(rule, text) == []
