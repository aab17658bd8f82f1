"""Promises of sidecar/spans/regex_template.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.sidecar.spans.regex_template import readable_template


@pytest.mark.parametrize(
    ("expression", "template"),
    [
        (r"/users/(?<id>\d+)/orders$", "/users/{id}/orders"),
        (r"^/v1\.0/(?P<kind>[^/]+)/(\w+)$", "/v1.0/{kind}/{2}"),
        (r"/u/\d+/[a-z][a-z0-9-]*/f\.json", "/u/{1}/{2}/f.json"),
        (r"/(a|b)(c|d)", "/{1}{2}"),
        (r"/(?:users|people)/(?<id>\d+)", "/{1}/{id}"),
        (r"/\pL+/\p{Lu}/\PN", "/{1}/{2}/{3}"),
        (r"/users(?:/(?<id>\d+))?/?$", "/users{id}"),
        (r"/users(?:/(?<id>\d+)/(?<part>\w+))?$", "/users{1}"),
        (r"/status(?:/live)?$", "/status{1}"),
        (r"/status(?:/live){0,1}", "/status{1}"),
        (r"/status(?:/live)*?", "/status{1}"),
        (r"/status(?:/live)??", "/status{1}"),
        (r"/status(?:/live){0,}", "/status{1}"),
        (r"/status(?:/live){0}/x", "/status/x"),
        (r"/status(/live)?", "/status{1}"),
        (r"/a(?:/b)?(?:/c)?$", "/a{1}{2}"),
        (r"/a(?:/b(?:/c)?)?/d", "/a{1}/d"),
        (r"/a(?:/b(?:/c)?)/d", "/a/b{1}/d"),
        (r"/a(?:/b|/c)?$", "/a{1}"),
        (r"/a(?i:/b)?$", "/a{1}"),
        (r"/a(?:/b)+$", "/a/b"),
        (r"(?:/api)?/users", "{1}/users"),
        (r"/a(?:\.json|\.xml)?$", "/a{1}"),
        (r"(?i)/Users/\p{L}+\z", "/Users/{1}"),
        (r"/files/.*", "/files/{1}"),
        (r"/v1.0/x[.]y", "/v1.0/x.y"),
        (r"/(?<a>(?:\d{2}[)\]]|\))+)/b", "/{a}/b"),
        ("/plain", "/plain"),
    ],
)
def test_an_expression_becomes_a_template(expression: str, template: str) -> None:
    """Names for named captures, places in the row for whatever else varies, no anchors and escapes."""
    assert readable_template(expression) == template


@pytest.mark.parametrize(
    "expression",
    [r"/a|/b", r"/a(?=b)", r"(?x)/a b # c", r"/(?ix: a)", r"users/\d+", r"/(((broken", "/[broken", "/\\", r"/\x41", ""],
)
def test_what_no_template_stands_for_stays_as_it_is(expression: str) -> None:
    """It is one name all the same."""
    assert readable_template(expression) == expression


@given(st.text(alphabet=r"/ab1()[]{}?*+|\^$.<>:dw-", max_size=40))
def test_any_text_gives_a_name(expression: str) -> None:
    """Never an exception."""
    assert isinstance(readable_template(expression), str)
