"""The formats of trace context in request headers. One format a module; FORMATS registers each format.

A format is a module with `HEADERS`, `extract(headers)` and `inject(context)`. No received header of a format in use is
passed on unchanged: every header to the upstream is built from parsed values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from otlp_tracing.context import SpanContext
from otlp_tracing.propagation import (
    b3,
    b3_single,
    datadog,
    google_cloud,
    jaeger,
    opentracing,
    w3c,
    xray,
)
from otlp_tracing.propagation.caller import Caller, Headers


class Format(Protocol):
    """One way to write a trace context into headers."""

    @property
    def HEADERS(self) -> tuple[str, ...]:  # noqa: N802
        """Every header that belongs to the format, in lower case."""

    def extract(self, headers: Headers) -> Caller | None:
        """Read the caller's context; None where it is absent or malformed, whatever the bytes."""

    def inject(self, context: SpanContext) -> dict[str, list[str]]:
        """Write a context: a value for every one of HEADERS; an empty list means that the header must be removed."""


FORMATS: Mapping[str, Format] = {
    "w3c": w3c,
    "b3": b3,
    "b3-single": b3_single,
    "jaeger": jaeger,
    "datadog": datadog,
    "ot": opentracing,
    "aws": xray,
    "gcp": google_cloud,
}


def extract(headers: Headers, formats: Iterable[str]) -> Caller | None:
    """Return the context of the first format, in the order given, that finds one.

    Without any context, the first decision that names no trace counts.
    """
    decision = None
    for name in formats:
        caller = FORMATS[name].extract(headers)
        if caller is not None:
            if caller.trace_id:
                return caller
            decision = decision or caller
    return decision


def inject(context: SpanContext, formats: Iterable[str]) -> dict[str, list[str]]:
    """Return the headers of every format given."""
    headers: dict[str, list[str]] = {}
    for name in formats:
        headers.update(FORMATS[name].inject(context))
    return headers
