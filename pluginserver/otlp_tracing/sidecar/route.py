"""Which of a route's paths a request matched: the span's `http.route`.

Source: kong/router/ of Kong 3.9.1: a path that begins with `~` is a regular expression in the Rust regex
crate's syntax, tried before plain prefixes; of those the longest wins. RE2 reads that syntax and, like
it, takes linear time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import re2

__all__ = ["matched_path"]


def matched_path(paths: Sequence[str], request_path: str) -> str | None:
    """Return the path of the route that the request's path matched, without a regular expression's `~`.

    Args:
        paths: the route's.
        request_path: as the client sent it, without the query.

    Returns:
        None where the route has no paths, or none of them explains the request (Kong matches a
        normalized path: percent-decoded, without dot segments).
    """
    expressions = [path[1:] for path in paths if path.startswith("~")]
    for expression in expressions:
        compiled = _compiled(expression)
        if compiled is not None and compiled.match(request_path):
            return expression
    prefixes = [path for path in paths if not path.startswith("~")]
    matching = [path for path in prefixes if request_path.startswith(path)]
    if matching:
        return max(matching, key=len)
    # Kong matched something, or the record would have no route: with one path there is no doubt which.
    return (expressions + prefixes)[0] if len(paths) == 1 else None


@lru_cache(maxsize=1024)  # as many regular expressions as a large gateway's routes have
def _compiled(expression: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression, options)
    except re2.error:
        return None
