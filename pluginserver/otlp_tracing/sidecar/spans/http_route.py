"""The path of a route that a request matched: the span's `http.route`, and the captures in it.

Source: kong/router/ of Kong 3.9.1: a path that begins with `~` is a regular expression in the Rust regex
crate's syntax, tried before plain prefixes; of those the longest wins. RE2 reads that syntax and, like
it, takes linear time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from otlp_tracing.sidecar.ingest.log_record import Route
from otlp_tracing.sidecar.spans.normalized_path import normalized_path
from otlp_tracing.sidecar.spans.regex_template import readable_template
from otlp_tracing.sidecar.spans.route_expression import expression_paths


def paths_of(route: Route) -> Sequence[str]:
    """Return the paths of a route, or those in its expression."""
    if isinstance(route.paths, list) and route.paths:
        return route.paths
    return expression_paths(route.expression) if route.expression else ()


def http_route(route: Route, request_path: str) -> str | None:
    """Return the template of the route's path that the request's path matched.

    Args:
        route: that matched.
        request_path: as the client sent it, without the query.

    Returns:
        A plain path as it is, a regular expression as regex_template.py has it. None where the route has
        no paths, or none of them explains the request.
    """
    known = _known(tuple(paths_of(route)))
    if known.only is not None and route.paths:
        # The record has a route, so one of the route's paths matched, and there is only one. An expression can match
        # without its path.
        return known.only
    matched_path = normalized_path(request_path)
    for expression, template in known.expressions:
        if expression.match(matched_path):
            return template
    for prefix in known.prefixes:
        if matched_path.startswith(prefix):
            return prefix
    return None


def path_captures(route: Route, request_path: str) -> dict[str, str]:
    """Return the captures of the route's regular expression that the request's path matched.

    Args:
        route: that matched.
        request_path: as the client sent it, without the query.

    Returns:
        By name, and by number as text, as Kong's `uri_captures`; values are normalized as the router matches them. A
        group without a match is left out.
    """
    matched_path = normalized_path(request_path)
    for expression, _ in _known(tuple(paths_of(route))).expressions:
        if found := expression.match(matched_path):
            numbered = {str(number): text for number, text in enumerate(found.groups(), 1)}
            return {name: text for name, text in {**numbered, **found.groupdict()}.items() if text is not None}
    return {}


@dataclass(frozen=True, slots=True)
class _Paths:
    only: str | None
    expressions: tuple[tuple[Any, str], ...]
    prefixes: tuple[str, ...]


@lru_cache(maxsize=4096)  # as many routes as a large gateway has; the longest unused is read anew
def _known(paths: tuple[str, ...]) -> _Paths:
    expressions = [path[1:] for path in paths if path.startswith("~")]
    prefixes = [path for path in paths if not path.startswith("~")]
    return _Paths(
        only=_template(paths[0]) if len(paths) == 1 else None,
        expressions=tuple((compiled, readable_template(one)) for one in expressions if (compiled := _compiled(one))),
        prefixes=tuple(sorted(prefixes, key=len, reverse=True)),
    )


def _template(path: str) -> str:
    return readable_template(path[1:]) if path.startswith("~") else path


def _compiled(expression: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression, options)
    except re2.error:
        return None
