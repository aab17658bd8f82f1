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
from otlp_tracing.sidecar.redaction.login import AMBIGUOUS_NAMES, LoginContext

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

        def is_hidden(name: str) -> bool | str:
            # An ambiguous name is returned as LoginContext takes it.
            decoded = unquote_plus(name)
            if decoded in safe:
                return False
            if every or decoded in sensitive:
                return True
            return decoded.lower() if sensitive and decoded.lower() in AMBIGUOUS_NAMES else False

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
        login = None
        for parameter in query.split("&"):
            name, equals, value = parameter.partition("=")
            if not equals:
                # With query: all, `?secret` may be a value without a name; then it must not be cached.
                hidden = self._hides_all and bool(name) and self._is_hidden(name)
                replaced = replace(unquote_plus(name)) if hidden else name
            else:
                replaced = parameter
                hidden = (self._is_hidden_cached if len(name) <= _MAX_CACHED_LENGTH else self._is_hidden)(name)
                if hidden and value:
                    decoded = unquote_plus(value)
                    if isinstance(hidden, str):
                        login = login or LoginContext(query)
                        hidden = login.is_secret(hidden, decoded)
                    if hidden:
                        replaced = replace(decoded)
                        replaced = None if replaced is None else f"{name}={replaced}"
            if replaced is not None:
                kept.append(replaced)
        return "&".join(kept)

    def redact_url(self, url: str, replace: Replace) -> str:
        """Redact the query, and the fragment if it has parameters, of a URL or of a request target, `/path?query`."""
        target, sharp, fragment = url.partition("#")
        path, mark, query = target.partition("?")
        if "=" in fragment:
            # The implicit and hybrid flows of OAuth 2 return tokens in the fragment.
            fragment = self.redact(fragment, replace)
        return path + mark + (self.redact(query, replace) if mark else "") + sharp + fragment
