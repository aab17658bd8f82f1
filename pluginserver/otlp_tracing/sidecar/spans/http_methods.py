"""The known request methods. Other methods do not become names, since a client can make them up.

Source: semantic conventions 1.44, http.request.method: RFC 9110, PATCH and QUERY, unless the environment names others,
which replace them all.
"""

from __future__ import annotations

from collections.abc import Mapping

from otlp_tracing.config.otel_variables import value_of
from otlp_tracing.context import is_method
from otlp_tracing.sidecar.spans.model import Attributes

_DEFAULT = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
_VARIABLE = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"


class HttpMethods:
    """The known methods.

    Args:
        environment: of the sidecar.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        named = [method.strip() for method in value_of(environment, _VARIABLE).split(",")]
        self._known = frozenset(filter(None, named)) or frozenset(_DEFAULT)

    def name(self, method: str) -> str:
        """Return a method as span names and labels show it."""
        return method if method in self._known else "HTTP"

    def attributes(self, method: str) -> Attributes:
        """Return the attributes of a request's method.

        Args:
            method: any text. For a request that nginx could not read, such as TLS on a port without it, the record has
                the bytes up to the first blank. They are no method, and are left out.
        """
        if method in self._known:
            return {"http.request.method": method}
        attributes: Attributes = {"http.request.method": "_OTHER"}
        if is_method(method):
            attributes["http.request.method_original"] = method
        return attributes
