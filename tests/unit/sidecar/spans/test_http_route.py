"""Promises of sidecar/spans/http_route.py."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.spans.http_route import http_route


@pytest.mark.parametrize(
    ("paths", "path", "expected"),
    [
        (["/users"], "/users/7", "/users"),
        (["/", "/users", "/users/admin"], "/users/7", "/users"),
        (["/users", r"~/users/(?<id>\d+)/orders$"], "/users/7/orders", "/users/{id}/orders"),
        (["/users", r"~/users/(?<id>\d+)/orders$"], "/users/x/orders", "/users"),
        ([r"~/users/\d+"], "/%75sers/7", "/users/{1}"),  # Kong matches the decoded path
        (["/users", "/people"], "/%75sers/7", "/users"),
        (["/users", "/people"], "//people/../users/./7", "/users"),
        (["/a", r"~/users/(?<id>\d+)$"], "/x/..//users/%37", "/users/{id}"),
        (["/a%2Fb", "/a"], "/%61%2fb", "/a%2Fb"),
        (["/größe", "/"], "/gr%C3%B6%C3%9Fe", "/größe"),
        (["/a", "/b"], "/c", None),
        (["~/(((broken", "/a"], "/a", "/a"),
        ([], "/a", None),
    ],
)
def test_the_path_that_matched_is_found(paths: list[str], path: str, expected: str | None) -> None:
    """Regular expressions first, then the longest prefix, as Kong's router has it."""
    assert http_route(paths, path) == expected


def test_no_expression_can_hang() -> None:
    """A pattern that backtracks for years elsewhere takes linear time."""
    assert http_route([r"~/(a+)+$", "/"], "/" + "a" * 50_000 + "!") == "/"
