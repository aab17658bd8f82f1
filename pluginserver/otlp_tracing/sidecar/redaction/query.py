"""Redaction of query strings by parameter name: the values of sensitive parameters are replaced, the rest stays.

Source: OpenTelemetry semantic conventions, docs/http/http-spans.md, url.query: keep the key, replace the value by
REDACTED.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import unquote_plus

from otlp_tracing.config.sensitive_names import SensitiveNames
from otlp_tracing.config.settings import Redaction

_CACHED_NAMES = 4096  # parameter names repeat from request to request; the bound is for a client that invents them
_MAX_CACHED_LENGTH = 256  # longer names are not cached

Replace = Callable[[str], str | None]
"""Returns the replacement of a value; None drops the parameter."""


class QueryRedactor:
    """Redacts the query strings of one plugin entry by name.

    Args:
        redaction: of the entry.
        sensitive: the entry's sensitive names.
    """

    def __init__(self, redaction: Redaction, sensitive: SensitiveNames) -> None:
        safe = frozenset(redaction.safe_query)
        every = redaction.query == "all"

        def is_hidden(name: str) -> bool:
            decoded = unquote_plus(name)
            return decoded not in safe and (every or decoded in sensitive)

        self._hides_all = every
        self._is_off = redaction.query == "none"
        self._is_hidden = is_hidden
        self._is_hidden_cached = lru_cache(maxsize=_CACHED_NAMES)(is_hidden)

    def redact(self, query: str, replace: Replace) -> str:
        """Redact a query string; the order, repeated parameters and malformed parts stay.

        Args:
            query: as it was sent, without the `?`.
            replace: is called with each sensitive value, decoded.
        """
        if self._is_off or not (self._hides_all or "=" in query):
            return query
        kept: list[str] = []
        for parameter in query.split("&"):
            name, equals, value = parameter.partition("=")
            if not equals:
                # With query: all, `?secret` may be a value without a name; then it must not be cached.
                hidden = self._hides_all and bool(name) and self._is_hidden(name)
                replaced = replace(unquote_plus(name)) if hidden else name
            elif value and (self._is_hidden_cached if len(name) <= _MAX_CACHED_LENGTH else self._is_hidden)(name):
                replaced = replace(unquote_plus(value))
                replaced = None if replaced is None else f"{name}={replaced}"
            else:
                replaced = parameter
            if replaced is not None:
                kept.append(replaced)
        return "&".join(kept)

    def redact_url(self, url: str, replace: Replace) -> str:
        """Redact the query of a URL or of a request target, `/path?query`."""
        path, mark, query = url.partition("?")
        if not mark:
            return url
        query, sharp, fragment = query.partition("#")
        return path + mark + self.redact(query, replace) + sharp + fragment
