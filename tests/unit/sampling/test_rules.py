"""Promises of sampling/rules.py."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.config.settings import SamplingRule
from otlp_tracing.errors import ConfigError
from otlp_tracing.sampling import threshold
from otlp_tracing.sampling.rules import RequestLine, Rules


def rule(name: str = "r", rate: float = 0.5, **lists: Any) -> SamplingRule:
    empty: dict[str, tuple[str, ...]] = {"methods": (), "paths": (), "hosts": (), "headers": ()}
    return SamplingRule(name=name, rate=rate, **{**empty, **lists})


def matched(rules: list[SamplingRule], line: str = "GET / HTTP/1.1", **headers: str) -> str | None:
    received = {name: [value] for name, value in headers.items()}
    found = Rules.of(rules).match(lambda: RequestLine.parse(line), received)
    return found.name if found else None


@pytest.mark.parametrize(
    ("lists", "line", "headers", "matches"),
    [
        ({}, "GET / HTTP/1.1", {}, True),
        ({"methods": ("POST", "PUT")}, "PUT /a HTTP/1.1", {}, True),
        ({"methods": ("POST",)}, "GET /a HTTP/1.1", {}, False),
        ({"paths": ("/health*",)}, "GET /healthz?full=1 HTTP/1.1", {}, True),
        ({"paths": ("/health",)}, "GET /healthz HTTP/1.1", {}, False),
        ({"paths": ("/healthz",)}, "GET http://h:8000/healthz?full=1 HTTP/1.1", {}, True),
        ({"paths": ("/",)}, "GET http://h?full=1 HTTP/1.1", {}, True),
        ({"paths": ("/a/http://h/b",)}, "GET /a/http://h/b HTTP/1.1", {}, True),
        ({"paths": ("*.css", "*.js")}, "GET /static/a.js HTTP/2.0", {}, True),
        ({"paths": ("/a.b",)}, "GET /aXb HTTP/1.1", {}, False),
        ({"paths": (r"~/users/\d+$",)}, "GET /users/7 HTTP/1.1", {}, True),
        ({"paths": (r"~/users/\d+$",)}, "GET /users/7/orders HTTP/1.1", {}, False),
        ({"paths": (r"~/users",)}, "GET /users/7 HTTP/1.1", {}, True),
        ({"paths": ("~/a|/b",)}, "GET /a/c HTTP/1.1", {}, True),
        ({"paths": ("~/a|/b",)}, "GET /b/c HTTP/1.1", {}, True),
        ({"paths": ("~/a$|/b",)}, "GET /a/c HTTP/1.1", {}, False),
        ({"hosts": ("shop.example",)}, "", {"host": "Shop.Example:8000"}, True),
        ({"hosts": ("*.example",)}, "", {"host": "a.b.example"}, True),
        ({"hosts": ("*.example",)}, "", {"host": "example"}, False),
        ({"hosts": ("shop.example",)}, "", {}, False),
        ({"headers": ("X-Debug: *",)}, "", {"x-debug": "1"}, True),
        ({"headers": ("x-debug: yes",)}, "", {"x-debug": "no"}, False),
        ({"headers": ("a: 1", "b: 2")}, "", {"a": "1"}, False),
        ({"paths": ("/*",), "methods": ("GET",), "hosts": ("h",)}, "GET /x HTTP/1.1", {"host": "h"}, True),
    ],
)
def test_a_rule_matches_what_it_names(lists: dict[str, Any], line: str, headers: dict[str, str], matches: bool) -> None:
    """Every list that is not empty has to match; within a list one entry is enough, but for headers all."""
    assert (matched([rule(**lists)], line, **headers) == "r") is matches


def test_the_first_rule_that_matches_counts() -> None:
    """Order is the user's."""
    rules = [rule("health", 0, paths=("/health*",)), rule("get", methods=("GET",)), rule("rest", 1)]

    assert matched(rules, "GET /healthz HTTP/1.1") == "health"
    assert matched(rules, "GET /users HTTP/1.1") == "get"
    assert matched(rules, "POST /users HTTP/1.1") == "rest"
    assert matched(rules[:2], "POST /users HTTP/1.1") is None


def test_a_rule_has_its_own_threshold() -> None:
    """The rate becomes the threshold for a trace's randomness."""
    assert Rules.of([rule(rate=0)]).rules[0].threshold_ == threshold.NEVER
    assert Rules.of([rule(rate=0.5)]).rules[0].threshold_ == threshold.from_rate(0.5)


def test_kong_is_asked_only_if_it_must_be() -> None:
    """The request line costs a call: it is asked for once, and not where the headers decide."""
    asked: list[int] = []

    def ask() -> RequestLine:
        asked.append(1)
        return RequestLine("GET", "/")

    Rules.of([rule(headers=("a: 1",))]).match(ask, {"a": ["1"]})
    Rules.of([rule(headers=("a: 1",), paths=("/",))]).match(ask, {})
    assert asked == []
    Rules.of([rule(paths=("/x",)), rule(paths=("/y",)), rule(methods=("GET",))]).match(ask, {})

    assert asked == [1]


def test_a_rule_that_cannot_work_is_named() -> None:
    """The sentence has the place and the rule."""
    with pytest.raises(ConfigError, match=r"sampling\.rules\[2\]\.paths: must be regular expressions"):
        Rules.of([rule(), rule(paths=("~(((",))])


@pytest.mark.parametrize("lists", [{"paths": ("/\ud800",)}, {"hosts": ("\udfff",)}, {"paths": ("~é(",)}])
def test_a_rule_that_is_no_text_is_a_fault(lists: dict[str, Any]) -> None:
    """YAML and JSON can write half a character, which RE2 does not take."""
    with pytest.raises(ConfigError, match="must be"):
        Rules.of([rule(**lists)])


def test_no_path_can_hang_a_rule() -> None:
    """A pattern that backtracks for years elsewhere takes linear time."""
    assert matched([rule(paths=("~/(a+)+$",))], f"GET /{'a' * 50_000}! HTTP/1.1") is None


@pytest.mark.parametrize("line", ["", "GET", "GET /\udcff HTTP/1.1", "\x00", "GET  HTTP/1.1"])
def test_no_request_line_is_too_odd(line: str) -> None:
    """Only the client's own text is compared, never more."""
    matched([rule(paths=("/*",), methods=("GET",))], line)
