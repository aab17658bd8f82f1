"""The kind of each string of a span, by its attribute: query, URL, path, header line, or secret by its name."""

from __future__ import annotations

from enum import Enum

from otlp_tracing.config.sensitive_names import CREDENTIAL_HEADERS, SensitiveNames

SPAN_NAME = ""
"""The attribute name in findings for the span's own name."""

TRACE_STATE = "(tracestate)"
"""The attribute name in findings for the tracestate of the span or of a link."""

REQUIRED = frozenset({SPAN_NAME, TRACE_STATE})
"""These cannot be left out of a span."""

_HEADERS = ("http.request.header.", "http.response.header.")
_BAGGAGE = "baggage."
_MAX_CACHED_NAMES = 1024  # attribute names of conventions and configurations; further ones are not cached
_MAX_CACHED_SHAPES = 256  # sets of attribute names; a few dozen occur, each takes some 300 bytes


class StringKind(Enum):
    """The kind of a string."""

    TEXT = "any text"
    CONFIGURED = "a name from the configuration or of a vendor; it has no name and value pairs"
    QUERY = "a query string"
    URL = "a URL, or a path with a query"
    PATH = "a path"
    HEADER_LINE = "a line of a header, which may be a URL"
    SECRET = "a value whose attribute name is sensitive"  # noqa: S105  # a description


_REDACTED_BY_NAME = frozenset({StringKind.QUERY, StringKind.URL, StringKind.HEADER_LINE, StringKind.SECRET})

IN_URL = frozenset({StringKind.QUERY, StringKind.URL, StringKind.PATH})
"""Kinds that may hold only characters of URLs."""


class StringKinds:
    """The kinds of one plugin entry's attributes.

    Args:
        sensitive: the entry's sensitive names.
    """

    def __init__(self, sensitive: SensitiveNames) -> None:
        self._sensitive = sensitive
        self._shapes: dict[tuple[str, ...], tuple[tuple[str, StringKind], ...]] = {}
        self._kinds = {
            SPAN_NAME: StringKind.CONFIGURED,
            TRACE_STATE: StringKind.CONFIGURED,
            "http.route": StringKind.CONFIGURED,
            "url.query": StringKind.QUERY,
            "url.full": StringKind.URL,
            "url.path": StringKind.PATH,
            "http.url": StringKind.URL,
            "http.target": StringKind.URL,
        }

    def redacted_by_name(self, attributes: tuple[str, ...]) -> tuple[tuple[str, StringKind], ...]:
        """Return the attributes that redaction by name applies to, with their kinds.

        Args:
            attributes: names of a span's attributes; the spans of a route have the same ones, so results are cached.
        """
        kinds = self._shapes.get(attributes)
        if kinds is None:
            all_kinds = ((attribute, self.kind(attribute)) for attribute in attributes)
            kinds = tuple((attribute, kind) for attribute, kind in all_kinds if kind in _REDACTED_BY_NAME)
            if len(self._shapes) < _MAX_CACHED_SHAPES:
                self._shapes[attributes] = kinds
        return kinds

    def kind(self, attribute: str) -> StringKind:
        """Return the kind of an attribute's strings."""
        kind = self._kinds.get(attribute)
        if kind is None:
            kind = self._classify(attribute)
            if len(self._kinds) < _MAX_CACHED_NAMES:
                self._kinds[attribute] = kind
        return kind

    def _classify(self, attribute: str) -> StringKind:
        for prefix in _HEADERS:
            if attribute.startswith(prefix):
                header = attribute[len(prefix) :]
                is_secret = header in CREDENTIAL_HEADERS or header in self._sensitive
                return StringKind.SECRET if is_secret else StringKind.HEADER_LINE
        is_secret = attribute.startswith(_BAGGAGE) and attribute[len(_BAGGAGE) :] in self._sensitive
        return StringKind.SECRET if is_secret else StringKind.TEXT
