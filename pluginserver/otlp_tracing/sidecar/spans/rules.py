"""How the spans of a plugin entry are written, from its configuration."""

from __future__ import annotations

from dataclasses import dataclass

from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.header_capture import HeaderCapture
from otlp_tracing.sidecar.spans.http_methods import HttpMethods


@dataclass(frozen=True, slots=True)
class SpanRules:
    """How the spans of an entry are written.

    Args:
        request_headers: captures the request headers to show; None without any.
        response_headers: the same of the response.
        old_names: write the HTTP and RPC conventions' former names as well.
        methods: those that are known.
        names: bounds routes and gRPC methods; shared by all entries of a sidecar.
    """

    request_headers: HeaderCapture | None
    response_headers: HeaderCapture | None
    old_names: bool
    methods: HttpMethods
    names: CardinalityLimit

    @classmethod
    def from_settings(cls, settings: Settings, methods: HttpMethods, names: CardinalityLimit) -> SpanRules:
        """Read an entry's settings; methods and names are the sidecar's."""
        capture = settings.capture
        return cls(
            request_headers=HeaderCapture("http.request.header", capture.request_headers) or None,
            response_headers=HeaderCapture("http.response.header", capture.response_headers) or None,
            old_names=settings.span.semconv == "dup",
            methods=methods,
            names=names,
        )
