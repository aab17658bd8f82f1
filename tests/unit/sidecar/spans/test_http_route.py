"""Promises of sidecar/spans/http_route.py."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.ingest.log_record import Route
from otlp_tracing.sidecar.spans.http_route import http_route, path_captures


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
    assert http_route(Route(paths=paths), path) == expected


def test_no_expression_can_hang() -> None:
    """A pattern that backtracks for years elsewhere takes linear time."""
    assert http_route(Route(paths=[r"~/(a+)+$", "/"]), "/" + "a" * 50_000 + "!") == "/"


@pytest.mark.parametrize(
    ("expression", "path", "expected"),
    [
        ('http.path ^= "/users"', "/users/7", "/users"),
        ('http.path == "/users"', "/users", "/users"),
        (r'http.path ~ r#"^/users/(?<id>\d+)$"#', "/users/7", "/users/{id}"),
        (r'http.path ~ "/users/(?P<id>\\d+)$"', "/%75sers/7", "/users/{id}"),
        (r'http.path ~ r#"/users/\d+"#', "/v1/users/7", "{1}/users/{2}"),
        ('(http.path ^= "/a" && http.host == "x") || http.method == "GET"', "/b", None),
        ('http.path ^= "/" || http.path ^= "/a"', "/a/b", "/a"),
        ('!(http.path ^= "/a") && http.path ^= "/"', "/b", "/"),
        ('lower(http.path) == "/a-b"', "/A-B", "/a-b"),
        ('lower(http.host) == "a" && lower( http.path ) ^= "/a"', "/A/b", "/a"),
        ('http.headers.x == "http.path ^= r#\\"/a" && http.path^="/b"', "/b", "/b"),
        ('http.path != "/a"', "/b", None),
        ('http.path.segments.0 == "a"', "/a", None),
        ('http.path =^ ".php"', "/a.php", None),
        ("net.dst.port == 8000", "/", None),
        ('http.path ^= "/a', "/a", None),
        ('))) http.path == "/a"', "/a", "/a"),
    ],
)
def test_a_route_of_the_expression_language_has_its_paths(expression: str, path: str, expected: str | None) -> None:
    """Of the conditions on http.path the one that the request meets; the others say nothing about its path."""
    assert http_route(Route(expression=expression), path) == expected


def test_expressions_have_captures() -> None:
    """By name and by number, as Kong's own."""
    route = Route(paths=[], expression=r'http.path ~ r#"^/users/(?<id>\d+)$"#')

    assert path_captures(route, "/users/7") == {"1": "7", "id": "7"}
