"""What a plugin entry's configuration says about its spans, made ready once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.spans.cardinality import NameGuard
from otlp_tracing.sidecar.spans.header_capture import HeaderCapture
from otlp_tracing.sidecar.spans.http_methods import HttpMethods

__all__ = ["SpanRules"]


@dataclass(frozen=True, slots=True)
class SpanRules:
    """How the spans of an entry are written.

    Args:
        request_headers: those to show.
        response_headers: likewise.
        old_names: write the HTTP and RPC conventions' former names as well.
        methods: those that are known.
        names: bounds routes and gRPC methods; shared by all entries of a sidecar.
    """

    request_headers: HeaderCapture
    response_headers: HeaderCapture
    old_names: bool
    methods: HttpMethods
    names: NameGuard

    @classmethod
    def of(cls, settings: Settings, methods: HttpMethods, names: NameGuard) -> SpanRules:
        """Read an entry's settings; methods and names are the sidecar's."""
        return cls(
            request_headers=HeaderCapture("http.request.header", settings.capture.request_headers),
            response_headers=HeaderCapture("http.response.header", settings.capture.response_headers),
            old_names=settings.span.semconv == "dup",
            methods=methods,
            names=names,
        )

    def baggage(self, members: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return the attributes of captured baggage members."""
        return {f"baggage.{name}": value for name, value in members}
