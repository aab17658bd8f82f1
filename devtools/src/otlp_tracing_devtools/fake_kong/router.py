"""Find the route for a request, in the order Kong prefers them.

Matches method, host, path and headers. The path is matched normalised. Pure.

Source: kong/router/transform.lua of Kong 3.9.1, get_priority for the traditional_compatible flavour.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing_devtools.fake_kong.entities import Route
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.paths import escape, normalize, upstream_path


@dataclass(frozen=True)
class Match:
    """A route and its changes to the path.

    Args:
        prefix: the matched part, for X-Forwarded-Prefix.
        upstream_path: escaped, without query.
    """

    route: Route
    prefix: str
    upstream_path: str


@dataclass(frozen=True)
class _Candidate:
    """One path of one route; a route without paths has one candidate that matches any."""

    route: Route
    path: str | None
    pattern: re.Pattern[str] | None

    @property
    def rank(self) -> tuple[int, bool, int, bool, int, int]:
        route = self.route
        criteria = sum(map(bool, (route.methods, route.hosts, route.headers, self.path)))
        plain_host = any("*" not in host for host in route.hosts)
        priority = route.regex_priority if self.pattern else 0
        return (criteria, plain_host, len(route.headers), bool(self.pattern), priority, len(self.path or ""))


class Router:
    """All routes, best first."""

    def __init__(self, routes: Sequence[Route]) -> None:
        candidates = [candidate for route in routes for candidate in _candidates(route)]
        self._candidates = sorted(candidates, key=lambda candidate: candidate.rank, reverse=True)

    def match(self, method: str, host: str, raw_path: str, headers: Headers) -> Match | None:
        """Find the route; `host` is the Host header as it came, `raw_path` the path without its query."""
        path = normalize(raw_path)
        for candidate in self._candidates:
            if _accepts(candidate.route, method, host, headers):
                found = _match_path(candidate, path)
                if found:
                    return found
        return None


def _candidates(route: Route) -> Iterator[_Candidate]:
    if not route.paths:
        yield _Candidate(route, None, None)
    for path in route.paths:
        yield _Candidate(route, path, _compile(route, path) if path.startswith("~") else None)


def _compile(route: Route, path: str) -> re.Pattern[str]:
    # Kong's regular expressions name a group `(?<name>…)`; Python wants a P. `(?<=` and `(?<!` are look-behinds.
    pattern = re.sub(r"\(\?<(?![=!])", "(?P<", path.removeprefix("~"))
    try:
        return re.compile(pattern)
    except re.error as error:
        where = f"routes.{route.name or route.id}.paths"
        raise ConfigError([Fault(where, path, f"is not a regular expression: {error}")]) from None


def _accepts(route: Route, method: str, host: str, headers: Headers) -> bool:
    if route.methods and method not in route.methods:
        return False
    if route.hosts and not any(_host_matches(pattern.lower(), host.lower()) for pattern in route.hosts):
        return False
    return all(
        {value.lower() for value in values} & {value.lower() for value in headers.get_all(name)}
        for name, values in route.headers.items()
    )


def _host_matches(pattern: str, host: str) -> bool:
    plain = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    wanted = host if ":" in pattern else plain
    if pattern.startswith("*"):
        return wanted.endswith(pattern[1:])
    if pattern.endswith("*"):
        return wanted.startswith(pattern[:-1])
    return wanted == pattern


def _match_path(candidate: _Candidate, path: str) -> Match | None:
    if candidate.pattern:
        found = candidate.pattern.match(path)
        if not found:
            return None
        matched = found[0]
    elif candidate.path and not path.startswith(candidate.path):
        return None
    else:
        matched = candidate.path or "/"
    service = candidate.route.service
    base = (service.path if service else None) or "/"
    target = upstream_path(base, path, matched if candidate.path else "", candidate.route.strip_path)
    return Match(candidate.route, matched, escape(target))
