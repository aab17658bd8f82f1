"""Query strings: the value of a sensitive parameter is replaced, everything else stays as it was.

Source: OpenTelemetry semantic conventions, docs/http/http-spans.md, url.query: keep the key, put REDACTED
in the place of the value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import unquote_plus

from otlp_tracing.contract.settings import Redaction
from otlp_tracing.sidecar.redaction.names import SensitiveNames

__all__ = ["REDACTED", "QueryRedactor"]

REDACTED = "REDACTED"


class QueryRedactor:
    """Redacts the query strings of one plugin entry."""

    def __init__(self, redaction: Redaction) -> None:
        safe = frozenset(redaction.safe_query)
        sensitive = SensitiveNames(redaction.sensitive_keys)
        everything = redaction.query == "all"

        def hides(name: str) -> bool:
            decoded = unquote_plus(name)
            return decoded not in safe and (everything or decoded in sensitive)

        # Names repeat from request to request; 4096 of them bound what a client can make us remember.
        self._hides: Callable[[str], bool] = lru_cache(maxsize=4096)(hides)
        self._off = redaction.query == "none"

    def redact(self, query: str) -> str:
        """Redact a query string, given without its `?`; order, repetition and odd forms survive."""
        if self._off or not query:
            return query
        return "&".join(self._redact_parameter(parameter) for parameter in query.split("&"))

    def redact_target(self, target: str) -> str:
        """Redact the query of a request target, `/path?query`."""
        path, mark, query = target.partition("?")
        return path + mark + self.redact(query)

    def _redact_parameter(self, parameter: str) -> str:
        name, equals, value = parameter.partition("=")
        return f"{name}={REDACTED}" if equals and value and self._hides(name) else parameter
