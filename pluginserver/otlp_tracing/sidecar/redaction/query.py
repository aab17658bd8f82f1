"""Query strings: the value of a sensitive parameter is replaced, everything else stays as it was.

Source: OpenTelemetry semantic conventions, docs/http/http-spans.md, url.query: keep the key, put REDACTED
in the place of the value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import unquote_plus

from otlp_tracing.config.sensitive_names import SensitiveNames
from otlp_tracing.config.settings import Redaction

__all__ = ["QueryRedactor"]

_REMEMBERED = 4096  # names repeat from request to request; the bound is for a client that makes them up
_LONGEST_NAME = 256  # longer ones are looked at each time, and not kept

Replace = Callable[[str], str | None]
"""Returns what stands for a value, None where the parameter goes with it."""


class QueryRedactor:
    """Redacts the query strings of one plugin entry, by name.

    Args:
        redaction: of the entry.
        sensitive: its sensitive names.
    """

    def __init__(self, redaction: Redaction, sensitive: SensitiveNames) -> None:
        safe = frozenset(redaction.safe_query)
        everything = redaction.query == "all"

        def hides(name: str) -> bool:
            decoded = unquote_plus(name)
            return decoded not in safe and (everything or decoded in sensitive)

        self._everything = everything
        self._hides = hides
        self._remembered = lru_cache(maxsize=_REMEMBERED)(hides)
        self._off = redaction.query == "none"

    def redact(self, query: str, replace: Replace) -> str:
        """Redact a query string, given without its `?`; order, repetition and odd forms survive.

        Args:
            query: as it was sent.
            replace: given a value, decoded.
        """
        if self._off or not (self._everything or "=" in query):
            return query
        parameters = (self._redact_parameter(parameter, replace) for parameter in query.split("&"))
        return "&".join(parameter for parameter in parameters if parameter is not None)

    def redact_target(self, target: str, replace: Replace) -> str:
        """Redact the query of a request target, `/path?query`, or of a URL."""
        path, mark, query = target.partition("?")
        if not mark:
            return target
        query, sharp, fragment = query.partition("#")
        return path + mark + self.redact(query, replace) + sharp + fragment

    def _redact_parameter(self, parameter: str, replace: Replace) -> str | None:
        name, equals, value = parameter.partition("=")
        if self._everything and not equals:
            # It may be a value, which is not to be remembered: `?secret` has no name.
            return replace(unquote_plus(parameter)) if parameter and self._hides(parameter) else parameter
        if not value or not (self._remembered if len(name) <= _LONGEST_NAME else self._hides)(name):
            return parameter
        stands = replace(unquote_plus(value))
        return None if stands is None else f"{name}{equals}{stands}"
