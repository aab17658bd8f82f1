"""Promises of sidecar/redaction/detectors/payment.py."""

from __future__ import annotations

import pytest

from detecting import found


@pytest.mark.parametrize(
    ("rule", "text", "secret"),
    [
        ("credit_card", "card 4111 1111 1111 1111 ok", "4111 1111 1111 1111"),
        ("credit_card", "378282246310005", "378282246310005"),
        ("credit_card", "pan=6011-1111-1111-1117&x", "6011-1111-1111-1117"),
        ("iban", "GB82 WEST 1234 5698 7654 32 is it", "GB82 WEST 1234 5698 7654 32"),
        ("iban", "/pay/de89370400440532013000", "de89370400440532013000"),
        ("iban", "DE89-3704-0044-0532-0130-00", "DE89-3704-0044-0532-0130-00"),
        ("iban", "-DE89 370400440532013000", "DE89 370400440532013000"),
        ("iban", "to DE89 37040044 0532013000.", "DE89 37040044 0532013000"),
        ("iban", "DE893704 00440532 013000", "DE893704 00440532 013000"),
    ],
)
def test_a_secret_is_found_whole(rule: str, text: str, secret: str) -> None:
    """The finding has its first and its last character, as they were written."""
    assert found(rule, text) == [secret]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("credit_card", "4111111111111112"),
        ("credit_card", "12345678901234567890123456"),
        ("credit_card", "5f3b2c6a-4111-1111-1111-111111111111"),
        ("credit_card", "0.4111111111111111"),
        ("credit_card", "9111111111111111"),
        ("credit_card", "4111 11 1111111111 11"),
        ("iban", "GB82WEST12345698765433"),
        ("iban", "GB82WEST1234569876543"),
        ("iban", "de8937040044053201300012"),
    ],
)
def test_a_similar_text_is_left(rule: str, text: str) -> None:
    """Checksums, lengths and the characters around it distinguish it."""
    assert found(rule, text) == []
