"""Headers in a log record: lower-case names, each with a string or a list of them, or nothing usable at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["HeaderCapture", "header", "header_lines"]


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
    """The headers that an entry wants to see on its spans, as attributes; redaction/ sees to their values.

    Args:
        prefix: of the attributes' names.
        names: of the headers, in any case.
    """

    def __init__(self, prefix: str, names: Iterable[str]) -> None:
        wanted = dict.fromkeys(name.lower() for name in names)
        self._wanted = tuple((name, f"{prefix}.{name}") for name in wanted)

    def attributes(self, headers: object) -> dict[str, list[str]]:
        """Return the attributes of those headers that are there."""
        return {attribute: lines for name, attribute in self._wanted if (lines := header_lines(headers, name))}
