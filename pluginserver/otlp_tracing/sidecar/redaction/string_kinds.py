"""What a string is by its place: which attributes are queries, URLs, headers, or secrets by their name."""

from __future__ import annotations

from enum import Enum

from otlp_tracing.config.sensitive_names import CREDENTIAL_HEADERS, SensitiveNames
from otlp_tracing.sidecar.redaction.strings import SPAN_NAME, TRACE_STATE

__all__ = ["IN_URL", "Place", "Places"]

_HEADERS = ("http.request.header.", "http.response.header.")
_BAGGAGE = "baggage."
_MOST = 1024  # attributes that conventions and configurations name; past it they are worked out each time
_MOST_SHAPES = 256  # which attributes a span has; a few dozen combinations, each some 300 bytes


class Place(Enum):
    """Where a string stands."""

    PLAIN = "any text"
    CONFIGURED = "a name from the configuration, or of a vendor: no name and value"
    QUERY = "a query string"
    TARGET = "a URL, or a path with a query"
    PATH = "a path"
    LINE = "a header's line, which may be a URL"
    TOLD_BY_NAME = "a value that its name calls a secret"


_TOLD_APART = frozenset({Place.QUERY, Place.TARGET, Place.LINE, Place.TOLD_BY_NAME})

IN_URL = frozenset({Place.QUERY, Place.TARGET, Place.PATH})
"""Where only characters of URLs may stand."""


class Places:
    """The places of one plugin entry's attributes.

    Args:
        sensitive: its sensitive names.
    """

    def __init__(self, sensitive: SensitiveNames) -> None:
        self._sensitive = sensitive
        self._shapes: dict[tuple[str, ...], tuple[tuple[int, Place], ...]] = {}
        self._known = {
            SPAN_NAME: Place.CONFIGURED,
            TRACE_STATE: Place.CONFIGURED,
            "http.route": Place.CONFIGURED,
            "url.query": Place.QUERY,
            "url.full": Place.TARGET,
            "url.path": Place.PATH,
            "http.url": Place.TARGET,
            "http.target": Place.TARGET,
        }

    def of_all(self, attributes: tuple[str, ...]) -> tuple[tuple[int, Place], ...]:
        """Return the index and place of those that are told by their names.

        Args:
            attributes: of a span's strings; spans of a route have the same.
        """
        places = self._shapes.get(attributes)
        if places is None:
            every = ((index, self.of(attribute)) for index, attribute in enumerate(attributes))
            places = tuple((index, place) for index, place in every if place in _TOLD_APART)
            if len(self._shapes) < _MOST_SHAPES:
                self._shapes[attributes] = places
        return places

    def of(self, attribute: str) -> Place:
        """Return the place of an attribute's strings."""
        place = self._known.get(attribute)
        if place is None:
            place = self._work_out(attribute)
            if len(self._known) < _MOST:
                self._known[attribute] = place
        return place

    def _work_out(self, attribute: str) -> Place:
        for prefix in _HEADERS:
            if attribute.startswith(prefix):
                header = attribute[len(prefix) :]
                return Place.TOLD_BY_NAME if header in CREDENTIAL_HEADERS or header in self._sensitive else Place.LINE
        is_secret = attribute.startswith(_BAGGAGE) and attribute[len(_BAGGAGE) :] in self._sensitive
        return Place.TOLD_BY_NAME if is_secret else Place.PLAIN
