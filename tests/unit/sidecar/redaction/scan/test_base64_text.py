"""Promises of sidecar/redaction/scan/base64_text.py."""

from __future__ import annotations

import base64
import random

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from detecting import found
from otlp_tracing.sidecar.redaction.cost import CostBudget
from otlp_tracing.sidecar.redaction.scan.base64_text import TRIGGER, base64_texts


def standard(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def urlsafe(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("encode", [standard, urlsafe])
@pytest.mark.parametrize("around", ["{}", "/cb/{}/x", "data:text/plain;base64,{}", "a={}&b=1", "Blob {} end"])
@pytest.mark.parametrize(
    "text", ['{"password": "hunter2"}', "user=a&token=abc", "<key>abc</key>", "\u4f60\u597d password=hunter2"]
)
def test_a_secret_in_base64_covers_all_of_it(encode: object, around: str, text: str) -> None:
    """In either alphabet, in a path, a query or a sentence; the text around it stays."""
    assert callable(encode)
    encoded = encode(text)

    assert found("sensitive_key", around.format(encoded)) == [encoded]


def test_one_layer_is_decoded() -> None:
    """Base64 in base64 is data; escapes in base64 are decoded."""
    assert found("sensitive_key", standard(standard("password=hunter2"))) == []
    assert found("sensitive_key", standard(r'{"d": "{\\"password\\": \\"x\\"}"}')) != []
    assert found("email", standard("to=alice%40example.com")) == [standard("to=alice%40example.com")]


@pytest.mark.parametrize(
    "text",
    [
        standard("ordinary text of some words without anything"),
        base64.b64encode(bytes(range(256)) + b'{"password": "x"}' + bytes(range(128, 256))).decode(),
        "/api/documentation/introductionToEverything/withinTheSystem",
        "2b5e4c1a-93c3-4f7a-9a3e-1d7c7b0a8f60 5f3b2c6a9d8e4f1b7a6c5d4e3f2a1b0c",
    ],
)
def test_other_text_is_left(text: str) -> None:
    """Text without a secret, binary data with a piece of text, words and ids."""
    assert found("sensitive_key", text) == []


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=12))
def test_any_text_is_decoded(text: str) -> None:
    """All ASCII text of 12 characters is recognized and decoded whole."""
    for encoded in (standard(text), urlsafe(text)):
        assert [(start, end) for start, end, _ in base64_texts(encoded, CostBudget())] == [(0, len(encoded))]
        assert [decoded for _, _, decoded in base64_texts(encoded, CostBudget())] == [text]


def test_random_characters_are_rarely_decoded() -> None:
    """Less than 1 % of ids of 128 bits match the trigger."""
    chance = random.Random(1)
    ids = [urlsafe(chance.randbytes(16).decode("latin-1"))[:22] for _ in range(500)]
    ids += [base64.b64encode(chance.randbytes(16)).decode() for _ in range(2000)]

    assert sum(bool(re2.search(TRIGGER, one)) for one in ids[500:]) <= 20
