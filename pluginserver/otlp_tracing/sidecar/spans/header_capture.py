"""The headers that an entry wants on its spans, as attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otlp_tracing.sidecar.ingest.request_record import lines


class HeaderCapture:
    """Captures headers; their values are redacted later.

    Args:
        prefix: of the attributes' names.
        names: of the headers, in any case.
    """

    def __init__(self, prefix: str, names: Iterable[str]) -> None:
        self._attributes = {name: f"{prefix}.{name}" for name in (name.lower() for name in names)}

    def __bool__(self) -> bool:
        """Tell whether any header is wanted."""
        return bool(self._attributes)

    def attributes(self, headers: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return the attributes of those wanted headers that are there."""
        return {attribute: found for name, attribute in self._attributes.items() if (found := lines(headers, name))}
