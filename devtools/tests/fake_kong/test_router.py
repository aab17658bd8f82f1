"""Which route a request gets, and which path its upstream."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.errors import ConfigError
from otlp_tracing_devtools.fake_kong import parse_declaration
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.paths import decode_query, normalize
from otlp_tracing_devtools.fake_kong.router import Match, Router


def _router(*routes: dict[str, Any], path: str | None = None) -> Router:
    named = [{"name": f"r{number}", **route} for number, route in enumerate(routes)]
    service = {"name": "s", "host": "h", **({"path": path} if path else {}), "routes": named}
    return Router(parse_declaration({"_format_version": "3.0", "services": [service]}).routes)


def _name(match: Match | None) -> str | None:
    return match.route.name if match else None


@pytest.mark.parametrize(
    ("method", "host", "path", "name"),
    [
        ("GET", "h", "/users", "r0"),
        ("GET", "h", "/users/7/orders", "r1"),
        ("POST", "h", "/users", "r2"),
        ("GET", "shop.example:8000", "/users", "r3"),
        ("GET", "a.wild.example", "/none", "r4"),
        ("GET", "h", "/nothing", None),
    ],
)
def test_the_most_specific_route_wins(method: str, host: str, path: str, name: str | None) -> None:
    """More criteria beat fewer, a regular expression beats a prefix, a longer prefix a shorter one."""
    router = _router(
        {"paths": ["/users"]},
        {"paths": [r"~/users/(?<id>\d+)/orders$"]},
        {"paths": ["/users"], "methods": ["POST"]},
        {"paths": ["/users"], "hosts": ["shop.example"]},
        {"hosts": ["*.wild.example"]},
    )

    assert _name(router.match(method, host, path, Headers())) == name


def test_a_regular_expression_catches_by_name() -> None:
    """Kong's `(?<name>…)` works, and captures come by name and by number."""
    match = _router({"paths": [r"~/users/(?<id>\d+)/(\w+)$"]}).match("GET", "h", "/users/7/orders", Headers())

    assert match is not None
    assert (match.named_captures, match.unnamed_captures) == ({"id": "7"}, ["7", "orders"])
    assert match.upstream_path == "/"


def test_a_broken_regular_expression_is_a_sentence() -> None:
    """It is named with its route."""
    with pytest.raises(ConfigError, match="is not a regular expression"):
        _router({"paths": ["~/("]})


@pytest.mark.parametrize(
    ("base", "route", "strip", "path", "upstream"),
    [
        (None, "/echo", True, "/echo/hello", "/hello"),
        (None, "/echo", True, "/echo", "/"),
        (None, "/echo", False, "/echo/hello", "/echo/hello"),
        ("/base", "/echo", True, "/echo", "/base"),
        ("/base", "/echo", True, "/echo/", "/base/"),
        ("/base", "/echo", True, "/echo/x", "/base/x"),
        ("/base/", "/echo", True, "/echo", "/base"),
        ("/base", "/", False, "/", "/base"),
        ("/base", "/echo", True, "/echoes", "/base/es"),
        (None, "/a b", True, "/a%20b/%c3%a9", "/%C3%A9"),
    ],
)
def test_the_upstream_path_is_joined_as_kong_joins_it(
    base: str | None, route: str, *, strip: bool, path: str, upstream: str
) -> None:
    """`path_handling: v0`: base path, rest of the path, one slash between them."""
    match = _router({"paths": [route], "strip_path": strip}, path=base).match("GET", "h", path, Headers())

    assert match is not None
    assert match.upstream_path == upstream


@pytest.mark.parametrize(
    ("raw", "normal"),
    [("/a/../b", "/b"), ("/a/./b/", "/a/b/"), ("//a///b", "/a/b"), ("/%7Euser", "/~user"), ("/%2fa", "/%2Fa"),
     ("/a/..", "/"), ("/..", "/"), ("/a/.", "/a/")],
)  # fmt: skip
def test_paths_are_normalised(raw: str, normal: str) -> None:
    """Dot segments, double slashes and needless escapes are removed."""
    assert normalize(raw) == normal


def test_a_query_is_decoded_as_nginx_does() -> None:
    """Repeats become lists, an argument without `=` is true, `+` is a space."""
    assert decode_query("a=1&a=2&b&c=&d=x+y%21&=z") == {"a": ["1", "2"], "b": True, "c": "", "d": "x y!"}
