"""How the spans of a plugin entry are written, from its configuration."""

from __future__ import annotations

from dataclasses import dataclass

from otlp_tracing.config.settings import Settings
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.header_capture import HeaderCapture
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.own_attributes import OwnAttributes
from otlp_tracing.sidecar.spans.shared_attributes import SharedTable
from otlp_tracing.sidecar.spans.span_name import SpanName


@dataclass(frozen=True, slots=True)
class SpanRules:
    """How the spans of an entry are written.

    Args:
        request_headers: captures the request headers to show; None without any.
        response_headers: the same of the response.
        old_names: write the HTTP and RPC conventions' former names as well.
        methods: those that are known.
        names: bounds routes and gRPC methods; shared by all entries of a sidecar.
        shared: attributes that spans share; of all entries of a sidecar.
        own_attributes: to add to SERVER spans; None without any.
        span_name: of SERVER spans; None for the name of the conventions.
        gen_ai_messages: input, output, or both: texts of models' calls to show.
        faults: of the configuration; these parts of it are left out.
    """

    request_headers: HeaderCapture | None
    response_headers: HeaderCapture | None
    old_names: bool
    methods: HttpMethods
    names: CardinalityLimit
    shared: SharedTable
    own_attributes: OwnAttributes | None = None
    span_name: SpanName | None = None
    gen_ai_messages: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    @classmethod
    def from_settings(
        cls, settings: Settings, methods: HttpMethods, names: CardinalityLimit, shared: SharedTable | None = None
    ) -> SpanRules:
        """Read an entry's settings; methods, names and shared attributes are the sidecar's."""
        capture = settings.capture
        own = OwnAttributes(settings.span.attributes)
        faults = list(own.faults)
        span_name = None
        if settings.span.name is not None:
            try:
                span_name = SpanName(settings.span.name, sorted(own.bounded))
            except ConfigError as error:
                faults += error.faults
        return cls(
            request_headers=HeaderCapture("http.request.header", capture.request_headers) or None,
            response_headers=HeaderCapture("http.response.header", capture.response_headers) or None,
            old_names=settings.span.semconv == "dup",
            methods=methods,
            names=names,
            shared=shared or SharedTable(),
            own_attributes=own or None,
            span_name=span_name,
            gen_ai_messages=capture.gen_ai_messages,
            faults=tuple(faults),
        )
