"""Headers in a log record: lower-case names, each with a string or a list of them, or nothing usable at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from otlp_tracing.sidecar.redaction.names import SensitiveNames
from otlp_tracing.sidecar.redaction.query import REDACTED, QueryRedactor

__all__ = ["HeaderCapture", "header", "header_lines"]

# Never shown, whatever the configuration calls sensitive: each of them is a credential.
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


def header(headers: object, name: str) -> str | None:
    """Return a header's first line.

    Args:
        headers: as the record has them; Lua's empty table may have become a list.
        name: lower case.
    """
    value = headers.get(name) if isinstance(headers, Mapping) else None
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, str) else None


def header_lines(headers: object, name: str) -> list[str]:
    """Return all of a header's lines."""
    value = headers.get(name) if isinstance(headers, Mapping) else None
    return [line for line in (value if isinstance(value, list) else [value]) if isinstance(line, str)]


class HeaderCapture:
    """The headers that an entry wants to see on its spans, as attributes.

    A header with a sensitive name is there, so that one sees it was sent, without its value.

    Args:
        prefix: of the attributes' names.
        names: of the headers, in any case.
        sensitive: names whose values are secrets.
        query: redacts query strings; a Referer or a Location has one too.
    """

    def __init__(self, prefix: str, names: Iterable[str], sensitive: SensitiveNames, query: QueryRedactor) -> None:
        wanted = dict.fromkeys(name.lower() for name in names)
        self._wanted = tuple((name, f"{prefix}.{name}", name in _CREDENTIALS or name in sensitive) for name in wanted)
        self._query = query

    def attributes(self, headers: object) -> dict[str, list[str]]:
        """Return the attributes of those headers that are there."""
        return {
            attribute: [REDACTED if is_secret else self._query.redact_target(line) for line in lines]
            for name, attribute, is_secret in self._wanted
            if (lines := header_lines(headers, name))
        }
