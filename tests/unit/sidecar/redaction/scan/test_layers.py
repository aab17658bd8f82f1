"""Promises of sidecar/redaction/scan/layers.py."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.sidecar.redaction.scan.layers import MAX_LAYERS, layers


def test_each_layer_decodes_one_encoding() -> None:
    """Each character has its offset in the original text."""
    first, second, third = layers("a%2540b")

    assert (first.text, second.text, third.text) == ("a%2540b", "a%40b", "a@b")
    assert [third.offset(index) for index in range(4)] == [0, 1, 6, 7]


def test_a_percent_sign_without_digits_stays() -> None:
    """It is not an escape."""
    assert [layer.text for layer in layers("100% %zz %4")] == ["100% %zz %4"]


def test_the_number_of_layers_is_bounded() -> None:
    """A text that is encoded 50 times has MAX_LAYERS."""
    assert len(layers("%" + "25" * 50 + "41")) == 1 + MAX_LAYERS


@given(st.text(st.characters(codec="ascii")), st.integers(0, 2))
def test_every_offset_is_that_of_its_character(text: str, times: int) -> None:
    """Offsets rise, and the last one is the length."""
    written = text
    for _ in range(times):
        written = quote(written, safe="")
    for layer in layers(written):
        assert layer.offset(len(layer.text)) == len(written)
        assert all(layer.offset(index) < layer.offset(index + 1) for index in range(len(layer.text)))


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        (r"{\"a\"}", '{"a"}'),
        (r"\u0022\x27\/\n", "\"'/\n"),
        ("&quot;&#34;&#x22;&lt;&amp;", '"""<&'),
        (r"%5C%22", '"'),
        (r"C:\dir &copy; \u4f60", r"C:\dir &copy; \u4f60"),
    ],
)
def test_escapes_of_json_and_xml_are_decoded(text: str, decoded: str) -> None:
    """Only escapes that can hide a quote or a tag are decoded."""
    assert layers(text)[-1].text == decoded


def test_patterns_see_percent_encoding_decoded_alone() -> None:
    """A backslash may be a part of a user's pattern."""
    assert [layer.text for layer in layers(r"%41\"", percent_only=True)] == [r"%41\"", r"A\""]


def test_a_plus_is_a_space_where_a_form_is_encoded() -> None:
    """`%2B` is a plus, and one before a number or in an address may be one; a text without quotes is left alone."""
    text = "q=%7B%22a%22:+%22b+c%22%7D&d=%2B%22&e=a+b%40example.com&f=%22+49&g=+x"

    assert layers(text)[1].text == 'q={"a": "b c"}&d=+"&e=a+b@example.com&f="+49&g= x'
    assert layers("a+b%20c")[1].text == "a+b c"
