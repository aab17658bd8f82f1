"""Promises of sidecar/redaction/scan/layers.py."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.sidecar.redaction.scan.layers import MAX_LAYERS, layers


def test_layers_undo_one_encoding_each() -> None:
    """With the way back to where each character was written."""
    first, second, third = layers("a%2540b")

    assert (first.text, second.text, third.text) == ("a%2540b", "a%40b", "a@b")
    assert [third.offset(index) for index in range(4)] == [0, 1, 6, 7]


def test_what_is_no_escape_stays() -> None:
    """A percent sign alone, or before something else, is one."""
    assert [layer.text for layer in layers("100% %zz %4")] == ["100% %zz %4"]


def test_there_is_an_end_to_it() -> None:
    """However often something was encoded."""
    assert len(layers("%" + "25" * 50 + "41")) == 1 + MAX_LAYERS


@given(st.text(st.characters(codec="ascii")), st.integers(0, 2))
def test_every_place_leads_back(text: str, times: int) -> None:
    """Cut out of the written text, each character decodes to itself."""
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
    """Those that can hide a quote or a tag, and no others."""
    assert layers(text)[-1].text == decoded


def test_patterns_see_percent_encoding_decoded_alone() -> None:
    """Backslashes are a part of a user's pattern."""
    assert [layer.text for layer in layers(r"%41\"", percent_only=True)] == [r"%41\"", r"A\""]
