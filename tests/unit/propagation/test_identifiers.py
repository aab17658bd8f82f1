"""Promises of propagation/identifiers.py."""

from __future__ import annotations

import pytest

from otlp_tracing.propagation.identifiers import from_decimal, from_hex, single_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1f", b"\x00\x1f"),
        ("ABCD", b"\xab\xcd"),
        ("0", None),
        ("", None),
        (None, None),
        ("12345", None),
        ("1 ", None),
        ("0x1", None),
        ("-1", None),
        ("\N{ARABIC-INDIC DIGIT ONE}", None),
        ("1\n", None),
    ],
)
def test_hexadecimal_digits_are_padded(text: str | None, value: bytes | None) -> None:
    """Digits alone, no more than there is room for, and not zero."""
    assert from_hex(text, 2) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        (str(2**64 - 1), 2**64 - 1),
        (str(2**64), None),
        ("0", None),
        ("", None),
        (None, None),
        ("1e3", None),
        ("1_0", None),
        ("+1", None),
        ("0" * 21, None),
        ("\N{ARABIC-INDIC DIGIT ONE}", None),
    ],
)
def test_a_decimal_number_has_64_bits(text: str | None, value: int | None) -> None:
    """Digits alone, in range, and not zero."""
    assert from_decimal(text) == (None if value is None else value.to_bytes(8, "big"))


@pytest.mark.parametrize(
    ("headers", "value"),
    [({"a": [" 1\t"]}, "1"), ({"a": []}, None), ({}, None), ({"a": ["1", "1"]}, None), ({"a": ["1" * 513]}, None)],
)
def test_a_header_counts_where_it_is_alone(headers: dict[str, list[str]], value: str | None) -> None:
    """Two lines are two callers, and a long one is no trace header; white space around a value is HTTP's."""
    assert single_value(headers, "a") == value
