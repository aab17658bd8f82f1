"""The kind of each string of a span, by its attribute: query, URL, path, header line, or secret by its name."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from otlp_tracing.config.sensitive_names import CREDENTIAL_HEADERS, SensitiveNames
from otlp_tracing.config.settings import Redaction, SpanAttribute
from otlp_tracing.sidecar.redaction.login import AMBIGUOUS_NAMES

SPAN_NAME = ""
"""The attribute name in findings for the span's own name."""

TRACE_STATE = "(tracestate)"
"""The attribute name in findings for the tracestate of the span or of a link."""

REQUIRED = frozenset({SPAN_NAME, TRACE_STATE})
"""These cannot be left out of a span."""

_HEADERS = ("http.request.header.", "http.response.header.")
_BAGGAGE = "baggage."
_FROM_CONFIGURATION = frozenset({"literal", "consumer_tag", "route_tag", "service_tag"})
_MAX_CACHED_NAMES = 1024  # attribute names of conventions and configurations; further ones are not cached
_MAX_CACHED_SHAPES = 256  # sets of attribute names; a few dozen occur, each takes some 300 bytes


class StringKind(Enum):
    """The kind of a string."""

    TEXT = "any text"
    CONFIGURED = "a name from the configuration or of a vendor; it has no name and value pairs"
    QUERY = "a query string"
    URL = "a URL, or a path with a query"
    PATH = "a path"
    HEADER_LINE = "a line of a header, or a parameter, which may be a URL"
    SECRET = "a value whose attribute name is sensitive"  # noqa: S105  # a description


_REDACTED_BY_NAME = frozenset({StringKind.QUERY, StringKind.URL, StringKind.HEADER_LINE, StringKind.SECRET})

IN_URL = frozenset({StringKind.QUERY, StringKind.URL, StringKind.PATH})
"""Kinds that may hold only characters of URLs."""


class StringKinds:
    """The kinds of one plugin entry's attributes.

    Args:
        sensitive: the entry's sensitive names.
        redaction: of the entry.
        own: attributes of the entry's own, whose values have other names in the request.
    """

    def __init__(self, sensitive: SensitiveNames, redaction: Redaction, own: Iterable[SpanAttribute] = ()) -> None:
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
        self._kinds |= {one.name: self._own_kind(one, redaction) for one in own}

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

    def _own_kind(self, own: SpanAttribute, redaction: Redaction) -> StringKind:
        source, key = own.source, own.key or ""
        if source in _FROM_CONFIGURATION:
            return StringKind.TEXT
        if own.name.rpartition(".")[2] in self._sensitive:
            return StringKind.SECRET
        if source in {"request_header", "response_header"}:
            return self._classify(_HEADERS[0] + key.lower())
        if source == "query_parameter":
            if redaction.query == "none" or key in redaction.safe_query:
                return StringKind.HEADER_LINE
            # Whether `code` and `state` are part of a login depends on the other parameters, which are not here.
            is_login = bool(self._sensitive) and key.lower() in AMBIGUOUS_NAMES
            is_secret = redaction.query == "all" or key in self._sensitive or is_login
            return StringKind.SECRET if is_secret else StringKind.HEADER_LINE
        return StringKind.SECRET if source == "path_capture" and key in self._sensitive else StringKind.TEXT

    def _classify(self, attribute: str) -> StringKind:
        for prefix in _HEADERS:
            if attribute.startswith(prefix):
                header = attribute[len(prefix) :]
                is_secret = header in CREDENTIAL_HEADERS or header in self._sensitive
                return StringKind.SECRET if is_secret else StringKind.HEADER_LINE
        is_secret = attribute.startswith(_BAGGAGE) and attribute[len(_BAGGAGE) :] in self._sensitive
        return StringKind.SECRET if is_secret else StringKind.TEXT
