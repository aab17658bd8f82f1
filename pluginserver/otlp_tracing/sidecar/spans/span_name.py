"""The name of SERVER spans as a template (`span.name`): names of attributes in braces.

Only attributes with few values can be part of it: a backend keeps an index for each name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from otlp_tracing.config.validation import did_you_mean
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.spans.model import Attributes

PLACEHOLDER: Final = re.compile(r'\{([^{}"]*)\}')
"""Splits a template into literal texts at even places and names of attributes between them.

Braces around a quotation mark are an object of JSON.
"""

_UNCLOSED: Final = re.compile(r"\{[A-Za-z][A-Za-z0-9_.-]*")
_METHOD: Final = "http.request.method"
_BOUNDED: Final = (
    _METHOD, "http.route", "kong.route.name", "kong.service.name", "kong.workspace.name", "rpc.method",
)  # fmt: skip


def unclosed(parts: Sequence[str]) -> str | None:
    """Return the first name of a template without its closing brace; None without one.

    Args:
        parts: of PLACEHOLDER.
    """
    return next((found[0] for text in parts[::2] if (found := _UNCLOSED.search(text))), None)


class SpanName:
    """A template of names.

    Args:
        template: as configured.
        own: names of the attributes of one's own that can be part of it.

    Raises:
        ConfigError: it names another attribute, or a brace is not closed.
    """

    def __init__(self, template: str, own: Iterable[str] = ()) -> None:
        self._parts: Final = PLACEHOLDER.split(template)
        if name := unclosed(self._parts):
            raise ConfigError([Fault("span.name", json.dumps(template), f"{name} has no closing brace")])
        known = [*_BOUNDED, *own]
        for name in self._parts[1::2]:
            if name not in known:
                meant = did_you_mean(name, known) or f"; there are {', '.join(known)}"
                rule = f"{{{name}}} cannot be part of a name{meant}"
                raise ConfigError([Fault("span.name", json.dumps(template), rule)])

    def text(self, attributes: Attributes, method: str) -> str:
        """Return a span's name; empty if the request has none of the attributes, and there is no other text.

        Args:
            attributes: of the span. Those that are missing are left out, with the blank beside them.
            method: of the request, as names show it.
        """
        texts = [
            (method if part == _METHOD else str(attributes.get(part, ""))) if number % 2 else part
            for number, part in enumerate(self._parts)
        ]
        return " ".join("".join(texts).split())
